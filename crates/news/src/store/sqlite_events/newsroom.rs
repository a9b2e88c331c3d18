//! The schedule and the public corrections in a SQLite file.

use chassis::{StoreFailure, StoredTime, StoredVersion};
use kernel::{ArticleId, Timestamp};
use sqlx::{Pool, QueryBuilder, Sqlite as Database, SqliteConnection as Connection};
use uuid::Uuid;

use crate::domain::{Article, ArticleCorrection, Change, CorrectionPart, Event, State};
use crate::store::newsroom::{CorrectionRow, newsroom_tables};

newsroom_tables!();
