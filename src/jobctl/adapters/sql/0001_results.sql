-- One row for each job that returned; the first result of a job stands.
CREATE TABLE jobctl_results (
    job_id            text PRIMARY KEY,
    queue             text NOT NULL,
    job_type          text NOT NULL,
    attempt           integer NOT NULL,
    started_at        timestamptz NOT NULL,
    finished_at       timestamptz NOT NULL,
    result            jsonb,
    model             text,
    prompt_tokens     bigint,
    completion_tokens bigint,
    cost_usd          double precision,
    stored_at         timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX jobctl_results_by_type ON jobctl_results (job_type, finished_at);

-- Supabase serves the tables of this schema to the browser: without a policy only the owner sees any row.
ALTER TABLE jobctl_results ENABLE ROW LEVEL SECURITY;
