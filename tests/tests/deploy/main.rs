//! What production is made of: the compose files, and the gateway's configuration in the real nginx.
//!
//! What needs no engine runs always. The gateway's tests start the nginx that `PORTAL_TEST_NGINX` names, with the templates of
//! `nginx/` filled in as the official image does it, in front of small services of the test's own.

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
