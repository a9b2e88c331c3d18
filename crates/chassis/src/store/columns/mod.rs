//! Values as the SQL databases store them: one type for both dialects, so that a row is declared once.

#[cfg(feature = "servers")]
mod postgres;

use kernel::{Timestamp, Version};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Sqlite, Type};

/// A time as a column: `timestamptz` in PostgreSQL, milliseconds since the epoch in SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredTime(pub Timestamp);

/// A version or another small counter as a column: a positive `integer` in both databases.
///
/// PostgreSQL has no unsigned numbers. A version counts single changes of one thing, so it does not reach the
/// end of an `integer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredVersion(pub u32);

impl From<Version> for StoredVersion {
    fn from(version: Version) -> Self {
        Self(version.number())
    }
}

impl From<StoredVersion> for Version {
    fn from(stored: StoredVersion) -> Self {
        Version::new(stored.0)
    }
}

impl Type<Sqlite> for StoredTime {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }

    fn compatible(info: &SqliteTypeInfo) -> bool {
        <i64 as Type<Sqlite>>::compatible(info)
    }
}

impl Encode<'_, Sqlite> for StoredTime {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Sqlite>::encode(self.0.millis(), buffer)
    }
}

impl<'r> Decode<'r, Sqlite> for StoredTime {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        <i64 as Decode<Sqlite>>::decode(value).map(|millis| Self(Timestamp::from_millis(millis)))
    }
}

impl Type<Sqlite> for StoredVersion {
    fn type_info() -> SqliteTypeInfo {
        <u32 as Type<Sqlite>>::type_info()
    }

    fn compatible(info: &SqliteTypeInfo) -> bool {
        <u32 as Type<Sqlite>>::compatible(info)
    }
}

impl Encode<'_, Sqlite> for StoredVersion {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Sqlite>::encode(self.0, buffer)
    }
}

impl<'r> Decode<'r, Sqlite> for StoredVersion {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        <u32 as Decode<Sqlite>>::decode(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_value_is_read_from_sqlite_as_it_was_written() {
        let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.expect("opens");
        for millis in [0, -1, 1_763_700_000_123] {
            let time = StoredTime(Timestamp::from_millis(millis));
            let row: (StoredTime, StoredVersion) = sqlx::query_as("select $1, $2")
                .bind(time)
                .bind(StoredVersion(u32::MAX))
                .fetch_one(&pool)
                .await
                .expect("reads");
            assert_eq!(row, (time, StoredVersion(u32::MAX)));
        }
    }
}
