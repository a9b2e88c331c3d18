//! The whole portal in one process, and the operator's commands.
