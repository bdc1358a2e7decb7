-- The agents and their typed claims.

CREATE SCHEMA agents;

-- One row per agent: what it reads, which version, and how well it did.
-- stored: view
CREATE TABLE agents.registry (
    agent VARCHAR, -- diagnosis/<condition>
    kind VARCHAR,
    condition VARCHAR,
    version VARCHAR,
    inputs VARCHAR[],
    trained BOOLEAN,
    auroc_cv DOUBLE,
    auroc_test DOUBLE
);

-- One row per study and agent.
-- stored: copy
CREATE TABLE agents.claims (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    claim_key VARCHAR, -- digest of study, agent, version and inputs
    agent VARCHAR,
    agent_version VARCHAR,
    condition VARCHAR,
    status VARCHAR, -- present, absent, indeterminate, not_assessed
    reason VARCHAR, -- why not assessed, or why a guard made it indeterminate; null otherwise
    probability DOUBLE,
    confidence DOUBLE, -- 0 to 1, distance of the probability from one half, doubled
    level VARCHAR, -- null: this agent does not localise
    side VARCHAR,
    severity VARCHAR,
    sequence_set VARCHAR,
    model_versions VARCHAR[],
    source_series VARCHAR[],
    source_instances VARCHAR[]
);
