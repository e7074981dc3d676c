//! Other programs' SQLite databases: read without touching them, and without believing them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, Row};

/// The rows of a query. The database may be open in its program, and may be anything.
///
/// # Errors
/// A sentence: what SQLite said.
pub fn rows<T>(
    path: &Path,
    query: &str,
    mut row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, String> {
    // Opened in place SQLite would lock it, and make files beside it that a reader cannot always remove. What its program
    // has not yet put into the main file is in the `-wal` beside it.
    let folder = tempfile::Builder::new().prefix("punktfunk-").tempdir().map_err(|e| e.to_string())?;
    let copy = folder.path().join("db");
    copy_bounded(path, &copy)?;
    let beside = |path: &Path| std::path::PathBuf::from(format!("{}-wal", path.display()));
    if beside(path).is_file() {
        copy_bounded(&beside(path), &beside(&copy))?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&copy, flags).map_err(|e| e.to_string())?;
    let result = (|| {
        // SQLite, "Defense Against The Dark Arts": what is in a schema is not to be run.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        db.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
        let until = Instant::now() + PATIENCE;
        db.progress_handler(10_000, Some(move || Instant::now() > until));
        let mut statement = db.prepare(query)?;
        let mut found = statement.query([])?;
        let mut out = Vec::new();
        while let Some(next) = found.next()? {
            out.push(row(next)?);
            if out.len() >= MAX_ROWS {
                break;
            }
        }
        Ok(out)
    })();
    result.map_err(|e: rusqlite::Error| e.to_string())
}

fn copy_bounded(from: &Path, to: &Path) -> Result<(), String> {
    let size = fs::metadata(from).map_err(|e| e.to_string())?.len();
    if size > MAX_BYTES {
        return Err(format!("{size} bytes are more than {MAX_BYTES}"));
    }
    fs::copy(from, to).map(drop).map_err(|e| e.to_string())
}

/// itch keeps the whole store's metadata that it ever saw: some tens of MB.
const MAX_BYTES: u64 = 256 << 20;
const MAX_ROWS: usize = 50_000;
const MAX_VALUE_BYTES: i32 = 1 << 20;
/// A query over 5 000 games takes milliseconds; a schema made to last may take for ever.
const PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_in_use_is_read_and_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.db");
        let owner = Connection::open(&path).expect("made");
        owner
            .execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES('one');")
            .expect("filled");
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(dir.path()).expect("readable").map(|e| e.expect("an entry").file_name()).collect();
            names.sort();
            names
        };
        let before = names();
        assert!(before.len() > 1, "what was written is in the log: {before:?}");
        assert_eq!(rows(&path, "SELECT a FROM t", |r| r.get::<_, String>(0)), Ok(vec!["one".to_owned()]));
        assert_eq!(names(), before);
        owner.execute_batch("BEGIN EXCLUSIVE; INSERT INTO t VALUES('two')").expect("locked");
        assert!(rows(&path, "SELECT a FROM t", |r| r.get::<_, String>(0)).is_ok());
    }

    #[test]
    fn hostile_databases_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.db");
        let query = |path: &Path| rows(path, "SELECT a FROM t", |r| r.get::<_, i64>(0));
        assert!(query(&path).is_err(), "not there");
        fs::write(&path, b"SQLite format 3\0 and nothing like it").expect("written");
        assert!(query(&path).is_err());
        fs::remove_file(&path).expect("there");
        let endless = "CREATE VIEW t AS WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a+1 FROM n) SELECT a FROM n";
        Connection::open(&path).and_then(|db| db.execute_batch(endless)).expect("made");
        assert!(query(&path).is_err(), "a view is not run");
    }
}
