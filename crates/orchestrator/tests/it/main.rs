//! The router in process, on a real local bus with scripted desks behind it: no sockets, no sleeps.

mod access;
mod defects;
mod desk;
mod desks;
mod lists;
mod readings;
mod reads;
mod sink;
mod wire;
mod world;
mod writes;
