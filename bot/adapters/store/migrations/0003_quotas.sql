-- Rules, grants and settings of guilds, and what is used of their own windows. As before: what may never happen to
-- money is refused here. What a hold was made under is written on its ledger entries and never changes.

-- NULL in the entries of before: their channel is their job's, their guild's windows were UTC.
ALTER TABLE ledger ADD COLUMN channel_id INTEGER;
ALTER TABLE ledger ADD COLUMN guild_day TEXT;
ALTER TABLE ledger ADD COLUMN guild_week TEXT;
ALTER TABLE ledger ADD COLUMN guild_month TEXT;
ALTER TABLE ledger ADD COLUMN granted_microusd INTEGER NOT NULL DEFAULT 0
    CHECK (granted_microusd >= 0 AND (granted_microusd = 0 OR kind = 'hold'));
-- A refund that is not an operator's leaves the operator's ceilings as they are.
ALTER TABLE ledger ADD COLUMN by_operator INTEGER NOT NULL DEFAULT 1 CHECK (by_operator IN (0, 1));

-- What the guild's rules said when the job was opened. NULL: nothing.
ALTER TABLE jobs ADD COLUMN user_jobs_max INTEGER CHECK (user_jobs_max >= 0);
ALTER TABLE jobs ADD COLUMN guild_jobs_max INTEGER CHECK (guild_jobs_max >= 0);
ALTER TABLE jobs ADD COLUMN gateways TEXT CHECK (gateways IS NULL OR json_valid(gateways));

CREATE INDEX jobs_of_guild ON jobs (guild_id, created_at_ms);
CREATE INDEX jobs_by_time ON jobs (created_at_ms);

CREATE TABLE guilds (
    guild_id INTEGER PRIMARY KEY,
    time_zone TEXT NOT NULL DEFAULT 'UTC',
    next_time_zone TEXT,
    next_time_zone_from_ms INTEGER,
    confirm_above_microusd INTEGER CHECK (confirm_above_microusd >= 0),
    paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    channel_ids TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(channel_ids)),
    role_ids TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(role_ids)),
    default_resolution TEXT,
    default_duration_s INTEGER CHECK (default_duration_s > 0),
    default_ratio TEXT,
    default_gateway TEXT,
    retention_days INTEGER CHECK (retention_days > 0),
    audit_channel_id INTEGER,
    -- Acts after this one are told in the audit channel.
    audit_from_id INTEGER NOT NULL DEFAULT 0,
    CHECK ((next_time_zone IS NULL) = (next_time_zone_from_ms IS NULL))
) STRICT;

-- NULL: the rule says nothing. Numbers: at most so much; 2^62 stands for no limit. Sets: JSON arrays of what is allowed.
CREATE TABLE rules (
    guild_id INTEGER NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('member', 'role', 'everyone', 'channel', 'pool')),
    subject_id INTEGER NOT NULL,
    day_microusd INTEGER CHECK (day_microusd >= 0),
    week_microusd INTEGER CHECK (week_microusd >= 0),
    month_microusd INTEGER CHECK (month_microusd >= 0),
    day_videos INTEGER CHECK (day_videos >= 0),
    week_videos INTEGER CHECK (week_videos >= 0),
    month_videos INTEGER CHECK (month_videos >= 0),
    jobs_max INTEGER CHECK (jobs_max > 0),
    duration_max_s INTEGER CHECK (duration_max_s > 0),
    resolutions TEXT CHECK (json_array_length(resolutions) > 0),
    gateways TEXT CHECK (json_array_length(gateways) > 0),
    ratios TEXT CHECK (json_array_length(ratios) > 0),
    PRIMARY KEY (guild_id, scope, subject_id),
    CHECK ((scope IN ('everyone', 'pool')) = (subject_id = 0)),
    CHECK (scope != 'channel' OR jobs_max IS NULL)
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
    grant_id INTEGER PRIMARY KEY,
    guild_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    amount_microusd INTEGER NOT NULL CHECK (amount_microusd > 0),
    expires_at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    actor_id INTEGER NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX grants_of_member ON grants (guild_id, user_id, expires_at_ms);

-- What a hold took of a grant; `returned_microusd` is kept by the triggers below. Position 1 was taken first.
CREATE TABLE grant_uses (
    job_id TEXT NOT NULL REFERENCES jobs (job_id),
    position INTEGER NOT NULL CHECK (position > 0),
    grant_id INTEGER NOT NULL REFERENCES grants (grant_id),
    amount_microusd INTEGER NOT NULL CHECK (amount_microusd > 0),
    returned_microusd INTEGER NOT NULL DEFAULT 0 CHECK (returned_microusd BETWEEN 0 AND amount_microusd),
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX grant_uses_of_grant ON grant_uses (grant_id, amount_microusd, returned_microusd);

CREATE TABLE blocks (
    guild_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    until_ms INTEGER,
    reason TEXT NOT NULL,
    actor_id INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (guild_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE blocked_words (
    guild_id INTEGER NOT NULL,
    word TEXT NOT NULL CHECK (length(word) > 0),
    is_pattern INTEGER NOT NULL CHECK (is_pattern IN (0, 1)),
    actor_id INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (guild_id, word)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    audit_id INTEGER PRIMARY KEY,
    guild_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    actor_id INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    subject TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    user_id INTEGER,
    job_id TEXT,
    told INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1))
) STRICT;

CREATE INDEX audit_of_guild ON audit (guild_id, audit_id);
CREATE INDEX audit_untold ON audit (guild_id, audit_id) WHERE told = 0;

CREATE TABLE people (
    user_id INTEGER PRIMARY KEY,
    confirm_above_microusd INTEGER CHECK (confirm_above_microusd >= 0),
    day_microusd INTEGER CHECK (day_microusd >= 0),
    week_microusd INTEGER CHECK (week_microusd >= 0),
    month_microusd INTEGER CHECK (month_microusd >= 0)
) STRICT;

-- What people were told of their windows, once each.
CREATE TABLE crossings (
    user_id INTEGER NOT NULL,
    guild_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    measure TEXT NOT NULL,
    calendar_window TEXT NOT NULL,
    percent INTEGER NOT NULL,
    PRIMARY KEY (user_id, guild_id, kind, measure, calendar_window)
) STRICT, WITHOUT ROWID;

-- What is used of the windows that guilds and people limit, kept by the triggers below. 'member', 'channel' and 'pool'
-- count in their guild's time zone, 'person' (guild_id 0) over the whole bot in UTC. `granted_microusd` is the part of
-- `committed_microusd` that grants paid; `granted_videos` were paid by grants wholly.
CREATE TABLE used (
    guild_id INTEGER NOT NULL,
    subject TEXT NOT NULL CHECK (subject IN ('member', 'channel', 'pool', 'person')),
    subject_id INTEGER NOT NULL,
    calendar_window TEXT NOT NULL,
    committed_microusd INTEGER NOT NULL CHECK (committed_microusd >= 0),
    on_hold_microusd INTEGER NOT NULL CHECK (on_hold_microusd >= 0),
    granted_microusd INTEGER NOT NULL CHECK (granted_microusd BETWEEN 0 AND committed_microusd),
    videos INTEGER NOT NULL CHECK (videos >= 0),
    granted_videos INTEGER NOT NULL CHECK (granted_videos BETWEEN 0 AND videos),
    PRIMARY KEY (guild_id, subject, subject_id, calendar_window)
) STRICT, WITHOUT ROWID;

INSERT INTO used
WITH holds AS (
    SELECT ledger.job_id, ledger.user_id, ledger.guild_id, jobs.channel_id, day, week, month, amount_microusd,
        amount_microusd - (
            SELECT coalesce(sum(freed_microusd), 0) FROM ledger AS freeing WHERE freeing.job_id = ledger.job_id
        ) AS committed_microusd,
        EXISTS (
            SELECT 1 FROM ledger AS ending WHERE ending.job_id = ledger.job_id AND kind IN ('settle', 'release')
        ) AS resolved,
        EXISTS (SELECT 1 FROM ledger AS ending WHERE ending.job_id = ledger.job_id AND kind = 'release') AS released
    FROM ledger JOIN jobs USING (job_id)
    WHERE kind = 'hold'
),
subjects AS (
    SELECT job_id, 0 AS guild_id, 'person' AS subject, user_id AS subject_id FROM holds
    UNION ALL SELECT job_id, guild_id, 'member', user_id FROM holds WHERE guild_id IS NOT NULL
    UNION ALL SELECT job_id, guild_id, 'channel', channel_id FROM holds WHERE guild_id IS NOT NULL
    UNION ALL SELECT job_id, guild_id, 'pool', 0 FROM holds WHERE guild_id IS NOT NULL
),
calendar_windows AS (
    SELECT job_id, day AS calendar_window FROM holds
    UNION ALL SELECT job_id, week FROM holds
    UNION ALL SELECT job_id, month FROM holds
)
SELECT subjects.guild_id, subject, subject_id, calendar_window, sum(committed_microusd),
    sum(iif(resolved, 0, amount_microusd)), 0, sum(NOT released), 0
FROM holds JOIN subjects USING (job_id) JOIN calendar_windows USING (job_id)
GROUP BY subjects.guild_id, subject, subject_id, calendar_window;

CREATE TRIGGER jobs_keep_their_terms
BEFORE UPDATE OF user_jobs_max, guild_jobs_max, gateways ON jobs
BEGIN
    SELECT RAISE(ABORT, 'what a hold was made under does not change');
END;

CREATE TRIGGER jobs_go_where_rules_allow
BEFORE UPDATE OF gateway ON jobs WHEN NEW.gateway != OLD.gateway AND OLD.gateways IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'the rules do not allow that gateway') WHERE NEW.gateway NOT IN (
        SELECT value FROM json_each(OLD.gateways)
    );
END;

CREATE TRIGGER ledger_holds_know_their_windows
BEFORE INSERT ON ledger WHEN NEW.kind = 'hold'
BEGIN
    SELECT RAISE(ABORT, 'a hold in a guild names the guild''s windows and channel') WHERE NEW.guild_id IS NOT NULL AND (
        NEW.guild_day IS NULL OR NEW.guild_week IS NULL OR NEW.guild_month IS NULL OR NEW.channel_id IS NULL
    );
    SELECT RAISE(ABORT, 'what is granted on a hold was taken from grants') WHERE NEW.granted_microusd != (
        SELECT coalesce(sum(amount_microusd), 0) FROM grant_uses WHERE job_id = NEW.job_id
    );
    SELECT RAISE(ABORT, 'a grant pays at most the hold') WHERE NEW.granted_microusd > NEW.amount_microusd;
END;

CREATE TRIGGER ledger_keeps_what_a_hold_was_made_under
BEFORE INSERT ON ledger WHEN NEW.kind != 'hold'
BEGIN
    SELECT RAISE(ABORT, 'an entry belongs to the windows and channel of its hold') WHERE NOT EXISTS (
        SELECT 1 FROM ledger
        WHERE job_id = NEW.job_id AND kind = 'hold' AND channel_id IS NEW.channel_id AND guild_day IS NEW.guild_day
            AND guild_week IS NEW.guild_week AND guild_month IS NEW.guild_month
    );
END;

-- INSERT OR REPLACE would delete silently, past the triggers below. An id that SQLite is to choose reads as -1 here.
CREATE TRIGGER grants_are_written_once
BEFORE INSERT ON grants
BEGIN
    SELECT RAISE(ABORT, 'a grant is written once') WHERE EXISTS (SELECT 1 FROM grants WHERE grant_id = NEW.grant_id);
END;

CREATE TRIGGER grants_stay
BEFORE DELETE ON grants
BEGIN
    SELECT RAISE(ABORT, 'a grant is never deleted');
END;

CREATE TRIGGER grants_keep_what_was_granted
BEFORE UPDATE ON grants
BEGIN
    SELECT RAISE(ABORT, 'a grant only ends earlier') WHERE
        NEW.grant_id != OLD.grant_id OR NEW.guild_id != OLD.guild_id OR NEW.user_id != OLD.user_id
        OR NEW.amount_microusd != OLD.amount_microusd OR NEW.expires_at_ms > OLD.expires_at_ms
        OR NEW.reason != OLD.reason OR NEW.actor_id != OLD.actor_id OR NEW.at_ms != OLD.at_ms;
END;

CREATE TRIGGER grants_are_used_within_their_amount
BEFORE INSERT ON grant_uses
BEGIN
    SELECT RAISE(ABORT, 'a use is written once') WHERE EXISTS (
        SELECT 1 FROM grant_uses WHERE job_id = NEW.job_id AND position = NEW.position
    );
    SELECT RAISE(ABORT, 'a grant is used by a hold that is being made') WHERE NEW.returned_microusd != 0 OR EXISTS (
        SELECT 1 FROM ledger WHERE job_id = NEW.job_id
    );
    SELECT RAISE(ABORT, 'a grant is its member''s, in its guild') WHERE NOT EXISTS (
        SELECT 1 FROM grants JOIN jobs ON jobs.job_id = NEW.job_id
        WHERE grants.grant_id = NEW.grant_id AND grants.user_id = jobs.user_id AND grants.guild_id = jobs.guild_id
            AND grants.expires_at_ms > jobs.created_at_ms
    );
    SELECT RAISE(ABORT, 'a grant is used up') WHERE NEW.amount_microusd + (
        SELECT coalesce(sum(amount_microusd - returned_microusd), 0) FROM grant_uses WHERE grant_id = NEW.grant_id
    ) > (SELECT amount_microusd FROM grants WHERE grant_id = NEW.grant_id);
END;

CREATE TRIGGER grant_uses_stay
BEFORE DELETE ON grant_uses
BEGIN
    SELECT RAISE(ABORT, 'what a hold took of a grant is never deleted');
END;

CREATE TRIGGER grant_uses_only_return
BEFORE UPDATE ON grant_uses
BEGIN
    SELECT RAISE(ABORT, 'what a hold took of a grant only returns') WHERE
        NEW.job_id != OLD.job_id OR NEW.position != OLD.position OR NEW.grant_id != OLD.grant_id
        OR NEW.amount_microusd != OLD.amount_microusd OR NEW.returned_microusd < OLD.returned_microusd
        OR NEW.returned_microusd + (
            SELECT coalesce(sum(returned_microusd), 0) FROM grant_uses
            WHERE job_id = OLD.job_id AND position != OLD.position
        ) > (SELECT coalesce(sum(freed_microusd), 0) FROM ledger WHERE job_id = OLD.job_id);
END;

CREATE TRIGGER audit_writes_once
BEFORE INSERT ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only') WHERE EXISTS (SELECT 1 FROM audit WHERE audit_id = NEW.audit_id);
END;

CREATE TRIGGER audit_never_changes
BEFORE UPDATE OF audit_id, guild_id, kind, actor_id, at_ms, subject, before, after, user_id, job_id ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;

CREATE TRIGGER audit_never_forgets
BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;

CREATE TRIGGER used_counts_holds
AFTER INSERT ON ledger WHEN NEW.kind = 'hold'
BEGIN
    INSERT INTO used
    SELECT guild_id, subject, subject_id, calendar_window, NEW.amount_microusd, NEW.amount_microusd,
        NEW.granted_microusd, 1, NEW.granted_microusd = NEW.amount_microusd
    FROM (
        SELECT 0 AS guild_id, 'person' AS subject, NEW.user_id AS subject_id, NEW.day AS calendar_window
        UNION ALL SELECT 0, 'person', NEW.user_id, NEW.week
        UNION ALL SELECT 0, 'person', NEW.user_id, NEW.month
        UNION ALL SELECT NEW.guild_id, 'member', NEW.user_id, NEW.guild_day
        UNION ALL SELECT NEW.guild_id, 'member', NEW.user_id, NEW.guild_week
        UNION ALL SELECT NEW.guild_id, 'member', NEW.user_id, NEW.guild_month
        UNION ALL SELECT NEW.guild_id, 'channel', NEW.channel_id, NEW.guild_day
        UNION ALL SELECT NEW.guild_id, 'channel', NEW.channel_id, NEW.guild_week
        UNION ALL SELECT NEW.guild_id, 'channel', NEW.channel_id, NEW.guild_month
        UNION ALL SELECT NEW.guild_id, 'pool', 0, NEW.guild_day
        UNION ALL SELECT NEW.guild_id, 'pool', 0, NEW.guild_week
        UNION ALL SELECT NEW.guild_id, 'pool', 0, NEW.guild_month
    )
    WHERE guild_id IS NOT NULL
    ON CONFLICT DO UPDATE SET
        committed_microusd = committed_microusd + excluded.committed_microusd,
        on_hold_microusd = on_hold_microusd + excluded.on_hold_microusd,
        granted_microusd = granted_microusd + excluded.granted_microusd,
        videos = videos + 1,
        granted_videos = granted_videos + excluded.granted_videos;
END;

-- What is freed goes back to the grants first, the one taken last before the others, as far as they paid. A CROSS JOIN
-- here would put `used` before `wanted`, and read the whole of it.
CREATE TRIGGER used_counts_what_is_freed
AFTER INSERT ON ledger WHEN NEW.kind != 'hold'
BEGIN
    UPDATE used SET
        committed_microusd = used.committed_microusd - NEW.freed_microusd,
        on_hold_microusd = used.on_hold_microusd - iif(NEW.kind = 'refund', 0, hold.amount_microusd),
        granted_microusd = used.granted_microusd - hold.returned_microusd,
        videos = videos - (NEW.kind = 'release'),
        granted_videos = granted_videos - (NEW.kind = 'release' AND hold.granted_microusd = hold.amount_microusd)
    FROM (
        SELECT amount_microusd, granted_microusd,
            min(granted_microusd, freed_microusd) - min(granted_microusd, freed_microusd - NEW.freed_microusd)
                AS returned_microusd
        FROM (
            SELECT amount_microusd, granted_microusd,
                (SELECT sum(freed_microusd) FROM ledger WHERE job_id = NEW.job_id) AS freed_microusd
            FROM ledger WHERE job_id = NEW.job_id AND kind = 'hold'
        )
    ) AS hold
    JOIN (
        SELECT 0 AS guild_id, 'person' AS subject, NEW.user_id AS subject_id, NEW.day AS calendar_window
        UNION ALL SELECT 0, 'person', NEW.user_id, NEW.week
        UNION ALL SELECT 0, 'person', NEW.user_id, NEW.month
        UNION ALL SELECT NEW.guild_id, 'member', NEW.user_id, coalesce(NEW.guild_day, NEW.day)
        UNION ALL SELECT NEW.guild_id, 'member', NEW.user_id, coalesce(NEW.guild_week, NEW.week)
        UNION ALL SELECT NEW.guild_id, 'member', NEW.user_id, coalesce(NEW.guild_month, NEW.month)
        UNION ALL SELECT NEW.guild_id, 'channel',
            coalesce(NEW.channel_id, (SELECT channel_id FROM jobs WHERE job_id = NEW.job_id)),
            coalesce(NEW.guild_day, NEW.day)
        UNION ALL SELECT NEW.guild_id, 'channel',
            coalesce(NEW.channel_id, (SELECT channel_id FROM jobs WHERE job_id = NEW.job_id)),
            coalesce(NEW.guild_week, NEW.week)
        UNION ALL SELECT NEW.guild_id, 'channel',
            coalesce(NEW.channel_id, (SELECT channel_id FROM jobs WHERE job_id = NEW.job_id)),
            coalesce(NEW.guild_month, NEW.month)
        UNION ALL SELECT NEW.guild_id, 'pool', 0, coalesce(NEW.guild_day, NEW.day)
        UNION ALL SELECT NEW.guild_id, 'pool', 0, coalesce(NEW.guild_week, NEW.week)
        UNION ALL SELECT NEW.guild_id, 'pool', 0, coalesce(NEW.guild_month, NEW.month)
    ) AS wanted
    WHERE used.guild_id = wanted.guild_id AND used.subject = wanted.subject AND used.subject_id = wanted.subject_id
        AND used.calendar_window = wanted.calendar_window;
    UPDATE grant_uses SET returned_microusd = max(
        0,
        min(
            amount_microusd,
            (SELECT sum(freed_microusd) FROM ledger WHERE job_id = NEW.job_id)
            - (
                SELECT coalesce(sum(later.amount_microusd), 0) FROM grant_uses AS later
                WHERE later.job_id = NEW.job_id AND later.position > grant_uses.position
            )
        )
    )
    WHERE job_id = NEW.job_id;
END;

-- What was settled was spent: only an operator gives back what the operator's ceilings count.
DROP TRIGGER committed_counts_refunds;

CREATE TRIGGER committed_counts_refunds
AFTER INSERT ON ledger WHEN NEW.kind = 'refund' AND NEW.by_operator = 1
BEGIN
    UPDATE committed SET committed_microusd = committed_microusd - NEW.freed_microusd
    WHERE subject = 'user' AND subject_id = NEW.user_id AND calendar_window IN (NEW.day, NEW.month);
    UPDATE committed SET committed_microusd = committed_microusd - NEW.freed_microusd
    WHERE subject = 'guild' AND subject_id = NEW.guild_id AND calendar_window = NEW.month;
END;

CREATE INDEX ledger_refunds_by_managers ON ledger (month, amount_microusd) WHERE kind = 'refund' AND by_operator = 0;
