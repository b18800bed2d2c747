//! Everything that touches the world, and the command.
//!
//! [`suite`] reads what people want and plans it, [`target`] knows the systems under test,
//! [`cluster`] runs their processes and [`network`] carries their bytes, [`nemesis`] breaks both,
//! [`run`] goes through the phases of a run, [`recorded`] opens one of before, [`shrink`] searches a
//! smaller one, [`explore`] others that lead where none has been, [`audit`], [`gate`], [`liveness`] and [`result`] say what it comes
//! to, and [`cli`] is the command. It is a library only so that its tests can reach it; its public
//! items are no interface for others. ARCHITECTURE.md has the map.

pub mod audit;
pub mod cli;
pub mod cluster;
pub mod explore;
pub mod gate;
pub mod liveness;
pub mod nemesis;
pub mod network;
pub mod recorded;
pub mod result;
pub mod run;
mod scalar;
pub mod shrink;
pub mod suite;
pub mod target;
