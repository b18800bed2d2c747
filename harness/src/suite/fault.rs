//! One entry of `faults`: a fault of the registry and its schedule, written as one map:
//! `kill: { node: leader, every: 5s, for: 1s }`.
//!
//! The keys of the schedule are picked out while the map streams by, and the fault reads the rest.
//! (`#[serde(flatten)]` would do the same through a buffer, and errors would lose their place.)

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, forward_to_deserialize_any};

use super::schedule::Schedule;
use super::tagged;
use crate::nemesis::{AnyFault, KINDS};

/// A fault as a suite writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpec {
    /// What is broken.
    pub fault: AnyFault,
    /// When.
    pub schedule: Schedule,
}

impl Serialize for FaultSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.fault.kind(), &Body(self))?;
        map.end()
    }
}

struct Body<'a>(&'a FaultSpec);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        let parameters = self.0.fault.parameters().map_err(S::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in parameters.as_object().into_iter().flatten() {
            map.serialize_entry(key, value)?;
        }
        self.0.schedule.write(&mut map)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for FaultSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FaultVisitor)
    }
}

struct FaultVisitor;

impl<'de> Visitor<'de> for FaultVisitor {
    type Value = FaultSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault such as `kill: { node: leader, at: 2s, for: 1s }`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FaultSpec, A::Error> {
        let Some(kind) = map.next_key_seed(KindName)? else {
            return Err(A::Error::custom("expected a fault such as `kill`, got an empty map"));
        };
        let fault = map.next_value_seed(Parameters { kind })?;
        tagged::end(&mut map)?;
        Ok(fault)
    }
}

/// Reads the name of a kind of fault.
struct KindName;

impl<'de> DeserializeSeed<'de> for KindName {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KindName {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a fault")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<&'static str, E> {
        KINDS.iter().map(|kind| kind.name).find(|kind| *kind == name).ok_or_else(|| {
            let names: Vec<String> = KINDS.iter().map(|kind| format!("`{}`", kind.name)).collect();
            E::custom(format!("unknown fault `{name}`, expected one of {}", names.join(", ")))
        })
    }
}

/// Reads what belongs to a fault of a kind: its parameters and its schedule.
struct Parameters {
    kind: &'static str,
}

impl<'de> DeserializeSeed<'de> for Parameters {
    type Value = FaultSpec;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<FaultSpec, D::Error> {
        let mut schedule = Schedule::default();
        let picking = PickSchedule { inner: deserializer, schedule: &mut schedule };
        match AnyFault::read(self.kind, picking) {
            Some(fault) => Ok(FaultSpec { fault: fault?, schedule }),
            None => Err(D::Error::custom(format!("unknown fault `{}`", self.kind))),
        }
    }
}

/// A deserializer that hands a map on without the keys of the schedule.
struct PickSchedule<'s, D> {
    inner: D,
    schedule: &'s mut Schedule,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for PickSchedule<'_, D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Picking { visitor, fields, schedule: self.schedule })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Picking { visitor, fields: &[], schedule: self.schedule })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Picking<'s, V> {
    visitor: V,
    fields: &'static [&'static str],
    schedule: &'s mut Schedule,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Picking<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the parameters of a fault, such as `{ node: leader, at: 2s, for: 1s }`")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(PickedMap { map, fields: self.fields, schedule: self.schedule })
    }
}

struct PickedMap<'s, A> {
    map: A,
    fields: &'static [&'static str],
    schedule: &'s mut Schedule,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for PickedMap<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        mut seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        loop {
            let either = EitherKey { own: seed, fields: self.fields };
            match self.map.next_key_seed(either)? {
                None => return Ok(None),
                Some(Key::Own(value)) => return Ok(Some(value)),
                Some(Key::Schedule(key, unused)) => {
                    self.schedule.read(key, &mut self.map)?;
                    seed = unused;
                }
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// A key of the fault, read by the fault's own seed, or one of the schedule, with the seed unused.
enum Key<T, K> {
    Own(T),
    Schedule(&'static str, K),
}

/// Reads a key while its place is still known, so that an error stands there.
struct EitherKey<K> {
    own: K,
    fields: &'static [&'static str],
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for EitherKey<K> {
    type Value = Key<K::Value, K>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for EitherKey<K> {
    type Value = Key<K::Value, K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        if let Some(key) = Schedule::KEYS.into_iter().find(|known| *known == key) {
            return Ok(Key::Schedule(key, self.own));
        }
        if !self.fields.contains(&key) {
            let known: Vec<String> = self
                .fields
                .iter()
                .chain(&Schedule::KEYS)
                .map(|known| format!("`{known}`"))
                .collect();
            let known = known.join(", ");
            return Err(E::custom(format!("unknown key `{key}`, expected one of {known}")));
        }
        self.own.deserialize(serde::de::value::StrDeserializer::new(key)).map(Key::Own)
    }
}
