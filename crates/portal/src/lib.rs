#![doc = include_str!("../README.md")]

pub mod admin;
pub mod config;
pub mod first_admin;
pub mod gateway;
pub mod healthcheck;
pub mod openapi;
pub mod replay;
pub mod robot;
pub mod run;
pub mod seed;
pub mod verify;
