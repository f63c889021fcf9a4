//! What profiles are filled with for one machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /api/v1/machines/{key}/values`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MachineValues {
    /// What its host is called: the machine's name, or what the site's policy gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The machine's own values, by variable; `***` for each that is or may be secret.
    pub values: BTreeMap<String, serde_json::Value>,
}

/// `PATCH /api/v1/machines/{key}/values`
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MachineValuesPatch {
    /// Values by variable; one that is left out stays, `null` removes it.
    pub values: BTreeMap<String, serde_json::Value>,
}

impl std::fmt::Debug for MachineValuesPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}
