//! What a read asks for: `?consistency=`, with what each kind needs.

use serde::Deserialize;

use super::error::ApiError;
use crate::protocol::{Gtid, Request};
use crate::state::Query;

/// The parameters of every read.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct ReadParameters {
    /// Of a list only.
    pub(super) prefix: Option<String>,
    consistency: Consistency,
    max_staleness_ms: Option<u64>,
    after: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Consistency {
    #[default]
    Linearizable,
    Bounded,
    Session,
    Local,
}

impl ReadParameters {
    /// The request that asks a query in this way.
    pub(super) fn request(self, query: Query) -> Result<Request, ApiError> {
        let Self { consistency, max_staleness_ms, after, .. } = self;
        if max_staleness_ms.is_some() && consistency != Consistency::Bounded {
            let message = "max-staleness-ms: expected with consistency=bounded only";
            return Err(ApiError::bad_request(message));
        }
        if after.is_some() && consistency != Consistency::Session {
            return Err(ApiError::bad_request("after: expected with consistency=session only"));
        }
        Ok(match consistency {
            Consistency::Linearizable => Request::Read(query),
            Consistency::Local => Request::ReadLocal(query),
            Consistency::Bounded => {
                let max_staleness_ms = max_staleness_ms.ok_or_else(|| {
                    let message = "consistency=bounded: expected max-staleness-ms, got nothing";
                    ApiError::bad_request(message)
                })?;
                Request::ReadBounded { query, max_staleness_ms }
            }
            Consistency::Session => {
                let after = after.ok_or_else(|| {
                    let message = "consistency=session: expected after, the GTID in the answer to \
                                   a write, got nothing";
                    ApiError::bad_request(message)
                })?;
                let parsed = after.parse::<Gtid>();
                let Gtid(after) =
                    parsed.map_err(|why| ApiError::bad_request(format!("after: {why}")))?;
                Request::ReadAfter { query, after }
            }
        })
    }
}
