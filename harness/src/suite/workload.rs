//! What a suite has to know of a workload: its name, its parameters in words and what it needs
//! from a target.

use splitbrain_workloads::operation::Capability;
use splitbrain_workloads::workload::WorkloadSpec;

/// The name, as suites write it.
pub fn name(spec: &WorkloadSpec) -> &'static str {
    match spec {
        WorkloadSpec::Register(_) => "register",
        WorkloadSpec::Set(_) => "set",
    }
}

/// The workload in words, such as "register, 8 keys".
pub fn words(spec: &WorkloadSpec) -> String {
    match spec {
        WorkloadSpec::Register(register) => {
            let plural = if register.keys == 1 { "" } else { "s" };
            let hot = match register.hot {
                0 => String::new(),
                hot => format!(", {hot} % on one"),
            };
            format!("register, {} key{plural}{hot}", register.keys)
        }
        WorkloadSpec::Set(set) => {
            format!("set, at most {} elements and {} lists", set.elements, set.lists)
        }
    }
}

/// What a target must be able to do for it.
pub fn needs(spec: &WorkloadSpec) -> Vec<Capability> {
    match spec {
        WorkloadSpec::Register(register) if register.compare_and_sets == 0 => Vec::new(),
        WorkloadSpec::Register(_) => vec![Capability::CompareAndSet],
        WorkloadSpec::Set(_) => vec![Capability::AtomicList],
    }
}
