-- What failover, callbacks and the deletion of content need. As before: what may never happen is refused here.

ALTER TABLE jobs ADD COLUMN not_before_ms INTEGER;
ALTER TABLE jobs ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0 CHECK (forgotten IN (0, 1));
ALTER TABLE jobs ADD COLUMN erased INTEGER NOT NULL DEFAULT 0 CHECK (erased IN (0, 1));

-- NULL in the attempts of before: theirs is the price of their job.
ALTER TABLE attempts ADD COLUMN price_microusd INTEGER CHECK (price_microusd >= 0);
ALTER TABLE attempts ADD COLUMN hinted_at_ms INTEGER;
ALTER TABLE attempts ADD COLUMN hinted_gateway_job_id TEXT;

-- Files of erased jobs that lie in the library still.
CREATE TABLE unwanted_files (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Notices that operators were told.
CREATE TABLE told (
    key TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The price comes first so that no search by state or gateway takes this index for its own.
CREATE INDEX jobs_counts ON jobs (price_microusd, state, gateway, delivery);
CREATE INDEX jobs_unconfirmed ON jobs (created_at_ms) WHERE state = 'unconfirmed';
CREATE INDEX jobs_given_up ON jobs (delivery_since_ms) WHERE delivery = 'given_up';
CREATE INDEX jobs_to_erase ON jobs (since_at_ms)
    WHERE erased = 0 AND state IN ('stored', 'cancelled', 'failed', 'lost');
CREATE INDEX jobs_to_forget ON jobs (since_at_ms) WHERE erased = 0 AND forgotten = 1;
CREATE INDEX committed_of_people ON committed (calendar_window) WHERE subject = 'user';

CREATE TRIGGER jobs_stay_with_their_gateway
BEFORE UPDATE OF gateway ON jobs WHEN NEW.gateway != OLD.gateway
BEGIN
    SELECT RAISE(ABORT, 'a gateway that was named is never left') WHERE OLD.pinned = 1;
    SELECT RAISE(ABORT, 'only a held job changes its gateway') WHERE NEW.state != 'held';
END;

DROP TRIGGER jobs_move_forward;

CREATE TRIGGER jobs_move_forward
BEFORE UPDATE OF state ON jobs WHEN NEW.state != OLD.state
BEGIN
    SELECT RAISE(ABORT, 'a job cannot move that way') WHERE NOT CASE OLD.state
        WHEN 'held' THEN NEW.state IN ('submitting', 'unconfirmed', 'cancelled', 'failed')
        WHEN 'submitting' THEN NEW.state IN ('running', 'unconfirmed', 'failed', 'held')
        WHEN 'unconfirmed' THEN NEW.state IN ('running', 'lost')
        WHEN 'running' THEN NEW.state IN ('finished', 'failed', 'lost')
        WHEN 'finished' THEN NEW.state IN ('stored', 'failed')
        ELSE FALSE
    END;
END;

CREATE TRIGGER jobs_doubt_a_refusal_only_after_a_callback
BEFORE UPDATE OF state ON jobs WHEN OLD.state = 'held' AND NEW.state = 'unconfirmed'
BEGIN
    SELECT RAISE(ABORT, 'only a callback takes a job out of the line like that') WHERE NOT EXISTS (
        SELECT 1 FROM attempts
        WHERE job_id = OLD.job_id AND number = OLD.attempt_count AND gateway = NEW.gateway AND hinted_at_ms IS NOT NULL
    );
END;

CREATE TRIGGER jobs_return_after_a_certain_refusal
BEFORE UPDATE OF state ON jobs WHEN OLD.state = 'submitting' AND NEW.state = 'held'
BEGIN
    SELECT RAISE(ABORT, 'only what was certainly refused returns to the line') WHERE NOT EXISTS (
        SELECT 1 FROM attempts
        WHERE job_id = OLD.job_id AND number = OLD.attempt_count AND billed_microusd = 0 AND gateway_job_id IS NULL
    );
END;

CREATE TRIGGER jobs_are_erased_after_their_end
BEFORE UPDATE OF erased ON jobs WHEN NEW.erased != OLD.erased
BEGIN
    SELECT RAISE(ABORT, 'what is erased stays erased') WHERE OLD.erased = 1;
    SELECT RAISE(ABORT, 'only a job that has ended and was told is erased') WHERE
        OLD.state NOT IN ('stored', 'cancelled', 'failed', 'lost') OR OLD.delivery = 'due';
END;

CREATE TRIGGER jobs_stay_forgotten
BEFORE UPDATE OF forgotten ON jobs WHEN NEW.forgotten < OLD.forgotten
BEGIN
    SELECT RAISE(ABORT, 'what is forgotten stays forgotten');
END;

CREATE TRIGGER jobs_keep_what_was_asked
BEFORE UPDATE OF mode, prompt, negative_prompt, resolution, ratio, duration_s, seed, pinned, private ON jobs
BEGIN
    SELECT RAISE(ABORT, 'what was asked for does not change') WHERE
        NEW.mode != OLD.mode OR NEW.resolution != OLD.resolution OR NEW.ratio IS NOT OLD.ratio
        OR NEW.duration_s != OLD.duration_s OR NEW.seed IS NOT OLD.seed OR NEW.pinned != OLD.pinned
        OR NEW.private != OLD.private
        OR (NEW.prompt != OLD.prompt AND NOT (NEW.erased = 1 AND NEW.prompt = ''))
        OR (NEW.negative_prompt IS NOT OLD.negative_prompt AND NOT (NEW.erased = 1 AND NEW.negative_prompt IS NULL));
END;

CREATE TRIGGER jobs_stay_erased
BEFORE UPDATE OF video_address, video_name, delivery, next_at_ms ON jobs WHEN OLD.erased = 1
BEGIN
    SELECT RAISE(ABORT, 'an erased job gets nothing new') WHERE
        NEW.video_address IS NOT NULL OR NEW.video_name IS NOT OLD.video_name OR NEW.delivery != OLD.delivery
        OR NEW.next_at_ms IS NOT NULL;
END;

CREATE TRIGGER job_images_never_change
BEFORE UPDATE ON job_images
BEGIN
    SELECT RAISE(ABORT, 'a picture of a job does not change');
END;

CREATE TRIGGER job_images_stay_with_their_job
BEFORE DELETE ON job_images
BEGIN
    SELECT RAISE(ABORT, 'pictures stay until their job is erased') WHERE NOT EXISTS (
        SELECT 1 FROM jobs WHERE job_id = OLD.job_id AND erased = 1
    );
END;

DROP TRIGGER attempts_keep_what_was_sent;

CREATE TRIGGER attempts_keep_what_was_sent
BEFORE UPDATE OF
    job_id, number, gateway, model, idempotency_key, callback_token, submitted_at_ms, month, price_microusd
ON attempts
BEGIN
    SELECT RAISE(ABORT, 'what was sent does not change');
END;

CREATE TRIGGER attempts_keep_their_bytes
BEFORE UPDATE OF body ON attempts
BEGIN
    SELECT RAISE(ABORT, 'what was sent does not change') WHERE NEW.body != x'' OR NOT EXISTS (
        SELECT 1 FROM jobs WHERE job_id = OLD.job_id AND erased = 1
    );
END;

CREATE TRIGGER attempts_need_no_hint_once_named
BEFORE UPDATE OF hinted_gateway_job_id ON attempts
WHEN OLD.gateway_job_id IS NOT NULL AND NEW.hinted_gateway_job_id IS NOT OLD.hinted_gateway_job_id
BEGIN
    SELECT RAISE(ABORT, 'an attempt that has its id is hinted at no more');
END;

CREATE TRIGGER attempts_cost_at_most_their_hold
BEFORE INSERT ON attempts
BEGIN
    SELECT RAISE(ABORT, 'an attempt has a price of at most its hold') WHERE NOT EXISTS (
        SELECT 1 FROM jobs WHERE job_id = NEW.job_id AND NEW.price_microusd <= price_microusd
    );
END;
