//! Tests of the whole service: its router is called in process, with embedded adapters and a fake of users.

mod access;
mod binary;
mod chaos;
mod defects;
mod directory;
mod erasure;
mod export;
mod fake_users;
mod fuzz;
mod golden;
mod grpc;
mod http;
mod reading;
mod service;
