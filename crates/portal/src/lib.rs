#![doc = include_str!("../README.md")]

pub mod admin;
pub mod asyncapi;
pub mod config;
mod data_folder;
pub mod documents;
pub mod first_admin;
pub mod gateway;
pub mod healthcheck;
pub mod metrics;
mod offline;
pub mod openapi;
pub mod replay;
pub mod robot;
pub mod run;
pub mod seed;
pub mod verify;
mod whole;
