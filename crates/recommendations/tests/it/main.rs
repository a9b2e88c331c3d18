//! The service as a whole: its router called in process, embedded adapters, users played by a neighbour.

mod access;
mod binary;
mod chaos;
mod defects;
mod directory;
mod erasure;
mod fuzz;
mod grpc;
mod http;
mod neighbour;
mod reading;
mod wire;
mod world;
