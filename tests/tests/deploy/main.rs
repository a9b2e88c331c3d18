//! The parts of production: the compose files, and the gateway's configuration in the real nginx.
//!
//! Tests that need no engine always run. The gateway's tests start the nginx that `PORTAL_TEST_NGINX` names,
//! with the templates of `nginx/` filled as the official image does it, in front of small scripted services.

mod cache;
mod compose;
mod containers;
mod document;
mod gateway;
mod headers;
mod image;
mod instances;
mod limits;
mod problems;
mod routes;
mod secrets;
mod upstream;
mod variables;

use system_tests::{repository, text};
use testkit::program;
