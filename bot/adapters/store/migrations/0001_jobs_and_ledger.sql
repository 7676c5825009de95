-- Money is whole microdollars, times are whole milliseconds since 1970 UTC, ids of people and places are Discord's.
-- What may never happen to money is refused here, whoever writes: the code above only asks in the right order.

CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY CHECK (length(job_id) = 16 AND job_id NOT GLOB '*[^0-9a-hjkmnp-tv-z]*'),
    interaction_id INTEGER NOT NULL UNIQUE,
    user_id INTEGER NOT NULL,
    guild_id INTEGER,
    channel_id INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,

    mode TEXT NOT NULL CHECK (mode IN ('text', 'image', 'reference')),
    prompt TEXT NOT NULL,
    negative_prompt TEXT,
    resolution TEXT NOT NULL,
    ratio TEXT,
    duration_s INTEGER NOT NULL CHECK (duration_s > 0),
    seed INTEGER,
    gateway TEXT NOT NULL,
    pinned INTEGER NOT NULL CHECK (pinned IN (0, 1)),
    private INTEGER NOT NULL CHECK (private IN (0, 1)),
    price_microusd INTEGER NOT NULL CHECK (price_microusd >= 0),

    state TEXT NOT NULL DEFAULT 'held' CHECK (
        state IN ('held', 'submitting', 'unconfirmed', 'running', 'finished', 'stored', 'cancelled', 'failed', 'lost')
    ),
    since_at_ms INTEGER NOT NULL,
    next_at_ms INTEGER,
    slow INTEGER NOT NULL DEFAULT 0 CHECK (slow IN (0, 1)),
    attempt_count INTEGER NOT NULL DEFAULT 0 CHECK (attempt_count >= 0),
    submitted_at_ms INTEGER,
    finished_at_ms INTEGER,
    ending TEXT,
    refusal TEXT,
    refused_picture INTEGER CHECK (refused_picture > 0),

    video_address TEXT,
    video_until_ms INTEGER,
    video_name TEXT,
    video_bytes_count INTEGER CHECK (video_bytes_count > 0),
    video_duration_s REAL CHECK (video_duration_s > 0),
    video_width INTEGER CHECK (video_width > 0),
    video_height INTEGER CHECK (video_height > 0),

    delivery TEXT NOT NULL DEFAULT 'none' CHECK (delivery IN ('none', 'due', 'posted', 'given_up')),
    delivery_count INTEGER NOT NULL DEFAULT 0 CHECK (delivery_count >= 0),
    delivery_since_ms INTEGER,
    card_channel_id INTEGER,
    card_message_id INTEGER,
    card_face TEXT,
    card_count INTEGER NOT NULL DEFAULT 0 CHECK (card_count >= 0),
    pictures_channel_id INTEGER,
    pictures_message_id INTEGER,
    video_channel_id INTEGER,
    video_message_id INTEGER,

    CHECK ((state IN ('failed', 'lost')) = (ending IS NOT NULL)),
    CHECK (state != 'stored' OR video_name IS NOT NULL),
    CHECK (delivery = 'none' OR (video_name IS NOT NULL AND delivery_since_ms IS NOT NULL)),
    CHECK ((video_name IS NULL) = (video_bytes_count IS NULL)),
    CHECK ((card_channel_id IS NULL) = (card_message_id IS NULL)),
    CHECK ((pictures_channel_id IS NULL) = (pictures_message_id IS NULL)),
    CHECK ((video_channel_id IS NULL) = (video_message_id IS NULL))
) STRICT;

CREATE INDEX jobs_next ON jobs (next_at_ms) WHERE next_at_ms IS NOT NULL;
CREATE INDEX jobs_due ON jobs (next_at_ms)
    WHERE next_at_ms IS NOT NULL AND state != 'running' AND state != 'held';
CREATE INDEX jobs_due_held ON jobs (next_at_ms) WHERE next_at_ms IS NOT NULL AND state = 'held';
CREATE INDEX jobs_due_reads ON jobs (gateway, next_at_ms) WHERE next_at_ms IS NOT NULL AND state = 'running';
CREATE INDEX jobs_of_user ON jobs (user_id, created_at_ms);
CREATE INDEX jobs_in_line ON jobs (created_at_ms) WHERE state = 'held';
CREATE INDEX jobs_in_flight ON jobs (state, submitted_at_ms) WHERE state IN ('submitting', 'running');
CREATE INDEX jobs_ended_badly ON jobs (user_id, since_at_ms) WHERE state IN ('failed', 'lost');
CREATE INDEX jobs_usual_times ON jobs (gateway, mode, resolution, duration_s, finished_at_ms)
    WHERE finished_at_ms IS NOT NULL;

CREATE TABLE job_images (
    job_id TEXT NOT NULL REFERENCES jobs (job_id),
    position INTEGER NOT NULL CHECK (position BETWEEN 1 AND 9),
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    width INTEGER NOT NULL CHECK (width > 0),
    height INTEGER NOT NULL CHECK (height > 0),
    bytes_count INTEGER NOT NULL CHECK (bytes_count > 0),
    note TEXT NOT NULL,
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

-- `month` is the window of the operator's book: the hold's, or for a free job the month of the submission.
CREATE TABLE attempts (
    job_id TEXT NOT NULL REFERENCES jobs (job_id),
    number INTEGER NOT NULL CHECK (number > 0),
    gateway TEXT NOT NULL,
    model TEXT NOT NULL,
    body BLOB NOT NULL,
    idempotency_key TEXT NOT NULL,
    callback_token TEXT NOT NULL,
    submitted_at_ms INTEGER NOT NULL,
    month TEXT NOT NULL,
    gateway_job_id TEXT,
    billed_microusd INTEGER CHECK (billed_microusd >= 0),
    billed_source TEXT CHECK (billed_source IN ('reported', 'price', 'refunded')),
    PRIMARY KEY (job_id, number),
    UNIQUE (gateway, gateway_job_id),
    CHECK ((billed_microusd IS NULL) = (billed_source IS NULL))
) STRICT;

-- `freed_microusd` is what the entry gives back to the windows of its hold: a settle frees what it did not need.
CREATE TABLE ledger (
    job_id TEXT NOT NULL REFERENCES jobs (job_id),
    kind TEXT NOT NULL CHECK (kind IN ('hold', 'settle', 'release', 'refund')),
    amount_microusd INTEGER NOT NULL CHECK (amount_microusd > 0),
    freed_microusd INTEGER NOT NULL CHECK (freed_microusd >= 0),
    user_id INTEGER NOT NULL,
    guild_id INTEGER,
    day TEXT NOT NULL,
    week TEXT NOT NULL,
    month TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    actor_id INTEGER,
    reason TEXT,
    PRIMARY KEY (job_id, kind),
    CHECK (kind != 'hold' OR freed_microusd = 0),
    CHECK (kind NOT IN ('release', 'refund') OR freed_microusd = amount_microusd),
    CHECK (kind != 'refund' OR (actor_id IS NOT NULL AND length(coalesce(reason, '')) > 0))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX ledger_one_resolution ON ledger (job_id) WHERE kind IN ('settle', 'release');

-- What is used of each window, kept by the triggers below, so that a limit check reads one row. `on_hold_microusd` is
-- the part in open holds. People and guilds: settled less refunded, plus open holds. The bot (subject_id 0): what the
-- gateways billed for resolved jobs in a month; all open holds, of whatever month, are in its window 'open'.
CREATE TABLE committed (
    subject TEXT NOT NULL CHECK (subject IN ('user', 'guild', 'bot')),
    subject_id INTEGER NOT NULL,
    calendar_window TEXT NOT NULL,
    committed_microusd INTEGER NOT NULL CHECK (committed_microusd >= 0),
    on_hold_microusd INTEGER NOT NULL CHECK (on_hold_microusd >= 0),
    PRIMARY KEY (subject, subject_id, calendar_window)
) STRICT, WITHOUT ROWID;

-- A switch is on while its row is here.
CREATE TABLE switches (
    name TEXT PRIMARY KEY CHECK (name IN ('paused'))
) STRICT, WITHOUT ROWID;

CREATE TABLE notes (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER jobs_keep_what_was_priced
BEFORE UPDATE OF job_id, interaction_id, user_id, guild_id, price_microusd, created_at_ms ON jobs
BEGIN
    SELECT RAISE(ABORT, 'what a hold was made for does not change');
END;

CREATE TRIGGER jobs_begin_held
BEFORE INSERT ON jobs
BEGIN
    SELECT RAISE(ABORT, 'a job begins as held') WHERE NEW.state != 'held';
    SELECT RAISE(ABORT, 'a job is written once') WHERE EXISTS (
        SELECT 1 FROM jobs WHERE job_id = NEW.job_id OR interaction_id = NEW.interaction_id
    );
END;

CREATE TRIGGER jobs_move_forward
BEFORE UPDATE OF state ON jobs WHEN NEW.state != OLD.state
BEGIN
    SELECT RAISE(ABORT, 'a job cannot move that way') WHERE NOT CASE OLD.state
        WHEN 'held' THEN NEW.state IN ('submitting', 'cancelled', 'failed')
        WHEN 'submitting' THEN NEW.state IN ('running', 'unconfirmed', 'failed', 'held')
        WHEN 'unconfirmed' THEN NEW.state IN ('running', 'lost')
        WHEN 'running' THEN NEW.state IN ('finished', 'failed', 'lost')
        WHEN 'finished' THEN NEW.state IN ('stored', 'failed')
        ELSE FALSE
    END;
END;

CREATE TRIGGER jobs_submit_with_an_open_hold
BEFORE UPDATE OF state ON jobs WHEN NEW.state = 'submitting' AND OLD.price_microusd > 0
BEGIN
    SELECT RAISE(ABORT, 'no submission without an open hold') WHERE
        NOT EXISTS (SELECT 1 FROM ledger WHERE job_id = OLD.job_id AND kind = 'hold')
        OR EXISTS (SELECT 1 FROM ledger WHERE job_id = OLD.job_id AND kind IN ('settle', 'release'));
END;

CREATE TRIGGER jobs_end_with_their_money_resolved
BEFORE UPDATE OF state ON jobs
WHEN NEW.state IN ('stored', 'cancelled', 'failed', 'lost') AND NEW.state != OLD.state AND OLD.price_microusd > 0
BEGIN
    SELECT RAISE(ABORT, 'no end before the hold is resolved') WHERE NOT EXISTS (
        SELECT 1 FROM ledger
        WHERE job_id = OLD.job_id AND kind = CASE NEW.state WHEN 'stored' THEN 'settle' ELSE 'release' END
    );
END;

CREATE TRIGGER attempts_keep_what_was_sent
BEFORE UPDATE OF job_id, number, gateway, model, body, idempotency_key, callback_token, submitted_at_ms, month ON attempts
BEGIN
    SELECT RAISE(ABORT, 'what was sent does not change');
END;

CREATE TRIGGER attempts_stay
BEFORE DELETE ON attempts
BEGIN
    SELECT RAISE(ABORT, 'an attempt is never deleted');
END;

CREATE TRIGGER attempts_begin_unbilled
BEFORE INSERT ON attempts
BEGIN
    SELECT RAISE(ABORT, 'an attempt begins unbilled') WHERE NEW.billed_microusd IS NOT NULL;
    SELECT RAISE(ABORT, 'an attempt is written once') WHERE EXISTS (
        SELECT 1 FROM attempts WHERE job_id = NEW.job_id AND number = NEW.number
    );
END;

-- While the hold is open, it stands for the bill: the bill counts from the resolution on.
CREATE TRIGGER attempts_count_what_was_billed
AFTER UPDATE OF billed_microusd ON attempts
WHEN coalesce(NEW.billed_microusd, 0) != coalesce(OLD.billed_microusd, 0) AND (
    EXISTS (SELECT 1 FROM ledger WHERE job_id = NEW.job_id AND kind IN ('settle', 'release'))
    OR NOT EXISTS (SELECT 1 FROM ledger WHERE job_id = NEW.job_id AND kind = 'hold')
)
BEGIN
    INSERT INTO committed VALUES ('bot', 0, NEW.month, 0, 0) ON CONFLICT DO NOTHING;
    UPDATE committed
    SET committed_microusd = committed_microusd + coalesce(NEW.billed_microusd, 0) - coalesce(OLD.billed_microusd, 0)
    WHERE subject = 'bot' AND subject_id = 0 AND calendar_window = NEW.month;
END;

CREATE TRIGGER ledger_never_changes
BEFORE UPDATE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;

CREATE TRIGGER ledger_never_forgets
BEFORE DELETE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;

-- INSERT OR REPLACE would delete silently, past the trigger above.
CREATE TRIGGER ledger_writes_once
BEFORE INSERT ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger has that entry') WHERE EXISTS (
        SELECT 1 FROM ledger WHERE job_id = NEW.job_id AND kind = NEW.kind
    );
END;

CREATE TRIGGER ledger_holds_the_price
BEFORE INSERT ON ledger WHEN NEW.kind = 'hold'
BEGIN
    SELECT RAISE(ABORT, 'a hold is the price of a held job') WHERE NOT EXISTS (
        SELECT 1 FROM jobs
        WHERE job_id = NEW.job_id AND state = 'held' AND price_microusd = NEW.amount_microusd
            AND user_id = NEW.user_id AND guild_id IS NEW.guild_id
    );
END;

CREATE TRIGGER ledger_resolves_its_hold
BEFORE INSERT ON ledger WHEN NEW.kind IN ('settle', 'release')
BEGIN
    SELECT RAISE(ABORT, 'a hold is resolved once') WHERE EXISTS (
        SELECT 1 FROM ledger WHERE job_id = NEW.job_id AND kind IN ('settle', 'release')
    );
    SELECT RAISE(ABORT, 'a resolution takes exactly its hold, in the windows of its hold') WHERE NOT EXISTS (
        SELECT 1 FROM ledger
        WHERE job_id = NEW.job_id AND kind = 'hold'
            AND amount_microusd = NEW.amount_microusd + iif(NEW.kind = 'settle', NEW.freed_microusd, 0)
            AND user_id = NEW.user_id AND guild_id IS NEW.guild_id
            AND day = NEW.day AND week = NEW.week AND month = NEW.month
    );
    SELECT RAISE(ABORT, 'only a finished job settles, only an unfinished one releases') WHERE NOT EXISTS (
        SELECT 1 FROM jobs
        WHERE job_id = NEW.job_id
            AND CASE NEW.kind
                WHEN 'settle' THEN state = 'finished'
                ELSE state IN ('held', 'submitting', 'unconfirmed', 'running', 'finished')
            END
    );
END;

CREATE TRIGGER ledger_refunds_a_settle
BEFORE INSERT ON ledger WHEN NEW.kind = 'refund'
BEGIN
    SELECT RAISE(ABORT, 'a refund is at most its settle, in the windows of its hold') WHERE NOT EXISTS (
        SELECT 1 FROM ledger
        WHERE job_id = NEW.job_id AND kind = 'settle' AND amount_microusd >= NEW.amount_microusd
            AND user_id = NEW.user_id AND guild_id IS NEW.guild_id
            AND day = NEW.day AND week = NEW.week AND month = NEW.month
    );
END;

CREATE TRIGGER committed_counts_holds
AFTER INSERT ON ledger WHEN NEW.kind = 'hold'
BEGIN
    INSERT INTO committed
    SELECT subject, subject_id, calendar_window, NEW.amount_microusd, NEW.amount_microusd
    FROM (
        SELECT 'user' AS subject, NEW.user_id AS subject_id, NEW.day AS calendar_window
        UNION ALL SELECT 'user', NEW.user_id, NEW.month
        UNION ALL SELECT 'guild', NEW.guild_id, NEW.month
        UNION ALL SELECT 'bot', 0, 'open'
    )
    WHERE subject_id IS NOT NULL
    ON CONFLICT DO UPDATE SET
        committed_microusd = committed_microusd + excluded.committed_microusd,
        on_hold_microusd = on_hold_microusd + excluded.on_hold_microusd;
END;

-- The hold was `amount_microusd` and, where something was settled, what that freed beside it.
CREATE TRIGGER committed_counts_resolutions
AFTER INSERT ON ledger WHEN NEW.kind IN ('settle', 'release')
BEGIN
    UPDATE committed SET
        committed_microusd = committed_microusd - NEW.freed_microusd,
        on_hold_microusd = on_hold_microusd
            - NEW.amount_microusd - iif(NEW.kind = 'settle', NEW.freed_microusd, 0)
    WHERE subject = 'user' AND subject_id = NEW.user_id AND calendar_window IN (NEW.day, NEW.month);
    UPDATE committed SET
        committed_microusd = committed_microusd - NEW.freed_microusd,
        on_hold_microusd = on_hold_microusd
            - NEW.amount_microusd - iif(NEW.kind = 'settle', NEW.freed_microusd, 0)
    WHERE subject = 'guild' AND subject_id = NEW.guild_id AND calendar_window = NEW.month;
    UPDATE committed SET
        committed_microusd = committed_microusd
            - NEW.amount_microusd - iif(NEW.kind = 'settle', NEW.freed_microusd, 0),
        on_hold_microusd = on_hold_microusd
            - NEW.amount_microusd - iif(NEW.kind = 'settle', NEW.freed_microusd, 0)
    WHERE subject = 'bot' AND subject_id = 0 AND calendar_window = 'open';
    INSERT INTO committed
    SELECT 'bot', 0, month, sum(billed_microusd), 0
    FROM attempts
    WHERE job_id = NEW.job_id AND billed_microusd > 0
    GROUP BY month
    ON CONFLICT DO UPDATE SET committed_microusd = committed_microusd + excluded.committed_microusd;
END;

CREATE TRIGGER committed_counts_refunds
AFTER INSERT ON ledger WHEN NEW.kind = 'refund'
BEGIN
    UPDATE committed SET committed_microusd = committed_microusd - NEW.freed_microusd
    WHERE subject = 'user' AND subject_id = NEW.user_id AND calendar_window IN (NEW.day, NEW.month);
    UPDATE committed SET committed_microusd = committed_microusd - NEW.freed_microusd
    WHERE subject = 'guild' AND subject_id = NEW.guild_id AND calendar_window = NEW.month;
END;
