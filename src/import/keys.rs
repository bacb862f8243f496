//! Keys of a JSON table, each with its type and range; what is wrong is named with file and key.

use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::{Map, Value};

use super::error::ImportError;

/// A table of the file.
pub(super) struct Keys<'a> {
    pub path: &'a Path,
    /// The table's name with a dot, empty at the top.
    pub at: String,
    pub table: &'a Map<String, Value>,
    /// Where the same keys may stand again; a different value there is a contradiction.
    pub again: Option<&'a Map<String, Value>>,
}

impl<'a> Keys<'a> {
    pub fn fault(&self, key: &str, what: String) -> ImportError {
        ImportError::file(
            self.path,
            format!("{}{key} {what}", self.at),
            "it is damaged, or this is a checkpoint of another model",
        )
    }

    pub fn unsupported(&self, key: &str, what: &str) -> ImportError {
        ImportError::file(
            self.path,
            format!(
                "{}{key} is {what}, which this version does not compute",
                self.at
            ),
            "only checkpoints of the published DeepSeek-OCR architecture can be imported",
        )
    }

    /// A value; null counts as absent.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.table.get(key).filter(|v| !v.is_null())
    }

    /// A value, which must be the same wherever it stands.
    fn agreed(&self, key: &str) -> Result<Option<&'a Value>, ImportError> {
        let here = self.get(key);
        let there = self.again.and_then(|t| t.get(key)).filter(|v| !v.is_null());
        match (here, there) {
            (Some(a), Some(b)) if a != b && (a.as_f64() != b.as_f64() || !a.is_number()) => {
                Err(self.fault(key, format!("is {a}, but {b} at the top of the file")))
            }
            _ => Ok(here.or(there)),
        }
    }

    pub fn table(&self, key: &str) -> Result<Keys<'a>, ImportError> {
        let table = self
            .get(key)
            .ok_or_else(|| self.fault(key, "is missing".into()))?
            .as_object()
            .ok_or_else(|| self.fault(key, "must be a table".into()))?;
        Ok(Keys {
            path: self.path,
            at: format!("{}{key}.", self.at),
            table,
            again: None,
        })
    }

    fn whole(
        &self,
        key: &str,
        value: &Value,
        range: RangeInclusive<u64>,
    ) -> Result<u64, ImportError> {
        value.as_u64().filter(|n| range.contains(n)).ok_or_else(|| {
            let (from, to) = range.into_inner();
            self.fault(
                key,
                format!("is {value}, must be a whole number from {from} to {to}"),
            )
        })
    }

    pub fn size(&self, key: &str, range: RangeInclusive<u64>) -> Result<u64, ImportError> {
        match self.agreed(key)? {
            Some(value) => self.whole(key, value, range),
            None => Err(self.fault(key, "is missing".into())),
        }
    }

    pub fn size_or(
        &self,
        key: &str,
        absent: u64,
        range: RangeInclusive<u64>,
    ) -> Result<u64, ImportError> {
        match self.agreed(key)? {
            Some(value) => self.whole(key, value, range),
            None => Ok(absent),
        }
    }

    pub fn sizes(&self, key: &str, range: RangeInclusive<u64>) -> Result<Vec<u64>, ImportError> {
        let list = self
            .get(key)
            .and_then(Value::as_array)
            .ok_or_else(|| self.fault(key, "must be a list of numbers".into()))?;
        list.iter()
            .map(|v| self.whole(key, v, range.clone()))
            .collect()
    }

    /// A number above 0 and up to `most`.
    pub fn number(&self, key: &str, absent: f32, most: f32) -> Result<f32, ImportError> {
        let Some(value) = self.agreed(key)? else {
            return Ok(absent);
        };
        value
            .as_f64()
            .map(|n| n as f32)
            .filter(|n| *n > 0.0 && *n <= most)
            .ok_or_else(|| {
                self.fault(
                    key,
                    format!("is {value}, must be a number above 0 and up to {most}"),
                )
            })
    }

    pub fn flag(&self, key: &str, absent: bool) -> Result<bool, ImportError> {
        match self.agreed(key)? {
            None => Ok(absent),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.fault(key, format!("is {value}, must be true or false"))),
        }
    }

    /// A text that must be one of `known`.
    pub fn only(&self, key: &str, absent: &str, known: &[&str]) -> Result<(), ImportError> {
        let value = match self.agreed(key)? {
            None => absent,
            Some(value) => value
                .as_str()
                .ok_or_else(|| self.fault(key, format!("is {value}, must be a text")))?,
        };
        if known.contains(&value) {
            Ok(())
        } else {
            Err(self.unsupported(key, &format!("\"{value}\"")))
        }
    }

    pub fn splits(&self, key: &str, whole: u64, parts: u64) -> Result<(), ImportError> {
        if whole.is_multiple_of(parts) {
            Ok(())
        } else {
            Err(self.fault(key, format!("is {parts}, which does not divide {whole}")))
        }
    }
}
