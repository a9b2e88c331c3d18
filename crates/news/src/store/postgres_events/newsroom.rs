//! The schedule and the public corrections in PostgreSQL.

use chassis::{StoreFailure, StoredTime, StoredVersion};
use kernel::{ArticleId, Timestamp};
use sqlx::{PgConnection as Connection, Pool, Postgres as Database, QueryBuilder};
use uuid::Uuid;

use crate::domain::{Article, ArticleCorrection, Change, CorrectionPart, Event, State};
use crate::store::newsroom::{CorrectionRow, newsroom_tables};

newsroom_tables!();
