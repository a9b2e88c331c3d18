//! A section as the others see it: calls over the bus, embedded stores in temporary files, no sockets.

mod calls;
mod crash;
mod defects;
mod erasure;
mod golden;
mod people;
mod replay;
mod world;
