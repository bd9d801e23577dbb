//! The schema, step by step.
//!
//! A migration is a numbered file in `migrations/`, run once in a transaction of its own and noted
//! in the table `migrations`. A file that has been released is never changed: write the next one.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{OpenError, StoreError};
use crate::store::unix_now;

/// Marks the file as ours in its head (`PRAGMA application_id`): "HKYK".
const APPLICATION_ID: i32 = 0x484b_594b;

/// The migrations; the first is number 1.
const MIGRATIONS: &[(&str, &str)] = &[
    ("domains_and_accounts", include_str!("migrations/0001_domains_and_accounts.sql")),
    ("plans", include_str!("migrations/0002_plans.sql")),
    ("grants", include_str!("migrations/0003_grants.sql")),
    ("credentials", include_str!("migrations/0004_credentials.sql")),
    ("instructions", include_str!("migrations/0005_instructions.sql")),
    ("domain_kinds", include_str!("migrations/0006_domain_kinds.sql")),
    ("files", include_str!("migrations/0007_files.sql")),
    ("prefixes", include_str!("migrations/0008_prefixes.sql")),
    ("audit_accounts", include_str!("migrations/0009_audit_accounts.sql")),
    ("accounts_for_mail", include_str!("migrations/0010_accounts_for_mail.sql")),
    ("programs_of_customers", include_str!("migrations/0011_programs_of_customers.sql")),
    ("sessions", include_str!("migrations/0012_sessions.sql")),
    ("addresses", include_str!("migrations/0013_addresses.sql")),
    ("absences", include_str!("migrations/0014_absences.sql")),
];

/// The latest schema that this version knows.
const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Refuses a file that is not ours or is too new, without touching it.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError::NotADatabase(path.into()),
        _ => OpenError::Store { path: path.into(), source: error.into() },
    };
    // One moment for all three answers: another process may be making the schema just now.
    let moment = connection.unchecked_transaction().map_err(failed)?;
    let application: i32 = moment.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(failed)?;
    let empty: bool = moment
        .query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
        .map_err(failed)?;
    if application != APPLICATION_ID && !(application == 0 && empty) {
        return Err(OpenError::Foreign(path.into()));
    }
    let found = version(&moment).map_err(failed)?;
    if found > KNOWN {
        return Err(OpenError::NewerSchema { path: path.into(), found, known: KNOWN });
    }
    Ok(())
}

/// Brings the schema up to date. Two processes may do this at once: each step looks again, under
/// the write lock, whether it is still to be done.
pub(crate) fn run(connection: &mut Connection) -> Result<(), StoreError> {
    run_steps(connection, MIGRATIONS)
}

fn run_steps(connection: &mut Connection, steps: &[(&str, &str)]) -> Result<(), StoreError> {
    for (number, (name, sql)) in (1..).zip(steps) {
        if version(connection)? >= number {
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if version(&transaction)? >= number {
            continue;
        }
        if number == 1 {
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.execute_batch(
                "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, run INTEGER NOT NULL) STRICT",
            )?;
        }
        transaction.execute_batch(sql)?;
        transaction.execute(
            "INSERT INTO migrations (number, name, run) VALUES (?1, ?2, ?3)",
            (number, name, unix_now()),
        )?;
        transaction.commit()?;
    }
    Ok(())
}

/// The number of the last migration that was run; 0 in a new file.
fn version(connection: &Connection) -> rusqlite::Result<u32> {
    let fresh = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'migrations')";
    if connection.query_row(fresh, [], |row| row.get(0))? {
        return Ok(0);
    }
    connection.query_row("SELECT coalesce(max(number), 0) FROM migrations", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_runs_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(version(&connection).unwrap(), 0);
        run(&mut connection).unwrap();
        run(&mut connection).unwrap();
        assert_eq!(version(&connection).unwrap(), KNOWN);
        check(&connection, Path::new("memory")).unwrap();
    }

    #[test]
    fn what_the_first_version_wrote_is_there_after_all_later_steps() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        run_steps(&mut connection, &MIGRATIONS[..1]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO accounts VALUES (7, 'abc', 'hash', 'active', 'ja', 1, '07/abc.7/Maildir', 5);
                 INSERT INTO domains VALUES (1, 'pobox.example', 'provider', NULL);
                 INSERT INTO domains VALUES (2, 'shop.example', 'virtual', 7);
                 INSERT INTO audit VALUES (1, 5, 'uid 0', 'account abc added');",
            )
            .unwrap();
        run(&mut connection).unwrap();
        assert_eq!(version(&connection).unwrap(), KNOWN);
        let found = "SELECT accounts.name || password || domains.name || audit.what FROM accounts
                     JOIN domains ON owner = accounts.id, audit";
        let kept: String = connection.query_row(found, [], |row| row.get(0)).unwrap();
        assert_eq!(kept, "abchashshop.exampleaccount abc added");
        assert!(!connection.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap());
    }

    #[test]
    fn a_newer_schema_is_refused_with_both_numbers() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection).unwrap();
        connection.execute("INSERT INTO migrations VALUES (99, 'later', 0)", []).unwrap();
        let error = check(&connection, Path::new("directory.db")).unwrap_err();
        assert!(matches!(error, OpenError::NewerSchema { found: 99, known: KNOWN, .. }));
        assert!(error.to_string().starts_with("directory.db was written by a later version of hikyaku"));
    }

    #[test]
    fn another_programs_database_is_refused() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
        assert!(matches!(check(&connection, Path::new("places.db")), Err(OpenError::Foreign(_))));
        let connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "application_id", 7).unwrap();
        assert!(matches!(check(&connection, Path::new("other.db")), Err(OpenError::Foreign(_))));
    }
}
