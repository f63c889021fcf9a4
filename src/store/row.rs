//! How values of the contract stand in columns.

use std::net::Ipv4Addr;

use ironwake_api::{LeaseState, Millis};
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::artifact::Digest;

/// A document as JSON.
pub(super) fn encode(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Sqlite(format!("encode a row: {error}")))
}

/// A document from column `index`.
pub(super) fn decode<T: DeserializeOwned>(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(index)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error)))
}

/// Times beyond the year 292 million are cut to it: SQLite's integers are signed.
pub(super) fn time(at: Millis) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

/// The other way round; a time before 1970 becomes 1970.
pub(super) fn millis(at: i64) -> Millis {
    u64::try_from(at).unwrap_or(0)
}

/// Sizes beyond 8 EiB, which no disk has, are cut to that.
pub(super) fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The other way round; what is below zero becomes zero.
pub(super) fn bytes(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}

/// A digest from column `index`.
pub(super) fn digest(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Digest> {
    let text = row.get_ref(index)?.as_str()?;
    text.parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error)))
}

/// An IPv4 address as a number, so that the order of rows is the order of addresses.
pub(super) fn address(text: &str) -> Result<u32, StoreError> {
    let wrong = || StoreError::Sqlite(format!("save a lease: {text:?} is not an IPv4 address"));
    text.parse::<Ipv4Addr>().map(Ipv4Addr::to_bits).map_err(|_| wrong())
}

/// Numbers of [`LeaseState`] in the database; they never change.
const LEASE_STATES: [(LeaseState, u8); 3] =
    [(LeaseState::Bound, 0), (LeaseState::Released, 1), (LeaseState::Declined, 2)];

pub(super) fn lease_state(state: LeaseState) -> u8 {
    LEASE_STATES.iter().find(|(known, _)| *known == state).map_or(0, |(_, number)| *number)
}

pub(super) fn lease_state_of(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<LeaseState> {
    let number: u8 = row.get(index)?;
    let found = LEASE_STATES.iter().find(|(_, known)| *known == number);
    found.map(|(state, _)| *state).ok_or(rusqlite::Error::IntegralValueOutOfRange(index, number.into()))
}
