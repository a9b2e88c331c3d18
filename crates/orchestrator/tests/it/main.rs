//! The router in process, on a real local bus with scripted desks behind it: no sockets, no sleeps.

mod access;
mod cache;
mod cache_home;
mod cache_private;
mod cache_races;
mod cache_renewal;
mod counts;
mod cursors;
mod defects;
mod desk;
mod desk_lists;
mod desks;
mod desks_commands;
mod desks_reads;
mod history;
mod home;
mod lists;
mod readings;
mod reads;
mod sink;
mod taste;
mod tastes;
mod throttle;
mod wire;
mod world;
mod writes;
