//! The columns in PostgreSQL.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::types::time::OffsetDateTime;
use sqlx::{Decode, Encode, Postgres, Type};

use super::{StoredTime, StoredVersion};
use crate::store::postgres::{timestamp, timestamptz};

impl StoredVersion {
    fn integer(self) -> i32 {
        i32::try_from(self.0).unwrap_or(i32::MAX)
    }
}

impl Type<Postgres> for StoredTime {
    fn type_info() -> PgTypeInfo {
        <OffsetDateTime as Type<Postgres>>::type_info()
    }

    fn compatible(info: &PgTypeInfo) -> bool {
        <OffsetDateTime as Type<Postgres>>::compatible(info)
    }
}

impl PgHasArrayType for StoredTime {
    fn array_type_info() -> PgTypeInfo {
        OffsetDateTime::array_type_info()
    }
}

impl Encode<'_, Postgres> for StoredTime {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(timestamptz(self.0), buffer)
    }
}

impl<'r> Decode<'r, Postgres> for StoredTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        <OffsetDateTime as Decode<Postgres>>::decode(value).map(|time| Self(timestamp(time)))
    }
}

impl Type<Postgres> for StoredVersion {
    fn type_info() -> PgTypeInfo {
        <i32 as Type<Postgres>>::type_info()
    }

    fn compatible(info: &PgTypeInfo) -> bool {
        <i32 as Type<Postgres>>::compatible(info)
    }
}

impl PgHasArrayType for StoredVersion {
    fn array_type_info() -> PgTypeInfo {
        i32::array_type_info()
    }
}

impl Encode<'_, Postgres> for StoredVersion {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.integer(), buffer)
    }
}

impl<'r> Decode<'r, Postgres> for StoredVersion {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(u32::try_from(<i32 as Decode<Postgres>>::decode(value)?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_beyond_the_end_of_an_integer_is_stored_as_the_last_one() {
        assert_eq!(StoredVersion(7).integer(), 7);
        assert_eq!(StoredVersion(u32::MAX).integer(), i32::MAX);
    }
}
