-- An alias: every address of it is that of this domain, which is a provider or virtual one.
ALTER TABLE domains ADD COLUMN target INTEGER REFERENCES domains (id);
CREATE INDEX aliases_of_domain ON domains (target) WHERE target IS NOT NULL;

-- Who gets what is for nobody, directly under a provider domain.
ALTER TABLE domains ADD COLUMN catch_all INTEGER REFERENCES accounts (id) ON DELETE SET NULL;
CREATE INDEX catch_alls_of_account ON domains (catch_all) WHERE catch_all IS NOT NULL;
