//! The JSON of an answer, read straight into what a measurement can use.
//!
//! Bodies come from anybody. Nothing is built of what is not used: lists are read up to a number of elements and counted
//! beyond it, texts are kept as a short line, and everything else is only looked through.

use std::fmt;
use std::marker::PhantomData;

use leadsman_core::analysis::Counted;
use leadsman_core::analysis::condition::MAX_SAMPLES;
use leadsman_core::text::one_line;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Longest quotation of what a source says, in characters.
pub(super) const MOST_WORDS: usize = 400;
/// Warnings that are read.
const MOST_WARNINGS: usize = 100;

/// An answer. `infos` are not read: they say nothing about the data.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Frame {
    /// `success` or `error`; nothing where it is no answer of a Prometheus.
    pub status: Leaf,
    /// A word, or the HTTP code: `bad_data`, `422`.
    pub error_type: Leaf,
    error: Leaf,
    #[serde(alias = "Message", alias = "msg")]
    message: Leaf,
    warnings: Option<List<Leaf, MOST_WARNINGS>>,
    is_partial: Leaf,
    data: Option<Data>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Data {
    result_type: Leaf,
    result: Option<List<Element, MAX_SAMPLES>>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    /// One number a series.
    Numbers(Vec<f64>),
    /// Native histograms.
    Histograms,
    /// More series than are read.
    TooMany(usize),
    /// Something else is said to stand there.
    OfType(String),
    /// What stands there is not what it is said to be.
    Unreadable,
}

impl Frame {
    /// What the source says about an error, in whichever field.
    pub fn words(&self) -> &str {
        [&self.error, &self.message].into_iter().map(Leaf::text).find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// True when the source says that some of the data are missing.
    pub fn is_partial(&self) -> bool {
        matches!(self.is_partial, Leaf::True)
    }

    /// The warnings that say something about the data. Prometheus 2.48 to 2.53, and what is built on it, puts notes about
    /// the names of metrics there as well, which later versions give as `infos`.
    pub fn warnings(&self) -> Vec<String> {
        let Some(list) = &self.warnings else { return Vec::new() };
        let said = list.first.iter().map(Leaf::text).filter(|warning| !is_informational(warning));
        let mut said: Vec<_> = said.map(str::to_owned).collect();
        if list.length > list.first.len() {
            said.push(format!("and {} more", list.length - list.first.len()));
        }
        said
    }

    /// The numbers of a vector whose series are named by the label `count`; `None` where it is something else.
    pub fn counts(self) -> Option<Vec<Counted>> {
        let Data { result_type, result } = self.data.unwrap_or_default();
        let List { length, first } = result.unwrap_or_default();
        if result_type.text() != "vector" || length != first.len() {
            return None;
        }
        let named = |element| if let Element::Series(_, counted) = element { counted } else { None };
        first.into_iter().map(named).collect()
    }

    /// The values of a vector or of a scalar.
    pub fn values(self) -> Values {
        let Data { result_type, result } = self.data.unwrap_or_default();
        let result = result.unwrap_or_default();
        match (result_type.text(), result.first.as_slice()) {
            ("vector", _) if result.length > MAX_SAMPLES => Values::TooMany(result.length),
            ("vector", series) if series.contains(&Element::Histogram) => Values::Histograms,
            ("vector", series) => {
                let number =
                    |element: &Element| if let Element::Series(number, _) = element { Some(*number) } else { None };
                series.iter().map(number).collect::<Option<_>>().map_or(Values::Unreadable, Values::Numbers)
            }
            ("scalar", [_, Element::Leaf(Some(number))]) => Values::Numbers(vec![*number]),
            ("scalar", _) => Values::Unreadable,
            (other, _) => Values::OfType(other.to_owned()),
        }
    }
}

fn is_informational(warning: &str) -> bool {
    warning.starts_with("PromQL info:") || warning.ends_with("more info annotations omitted")
}

/// A value that is a text or a number; of any other, at most what it is.
#[derive(Debug, Default)]
pub(super) enum Leaf {
    #[default]
    Other,
    True,
    Text(String),
}

impl Leaf {
    /// The text on one line, cut after [`MOST_WORDS`]; empty where it is none.
    pub fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    fn number(&self) -> Option<f64> {
        self.text().parse().ok()
    }
}

impl<'de> Deserialize<'de> for Leaf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LeafVisitor)
    }
}

struct LeafVisitor;

impl<'de> Visitor<'de> for LeafVisitor {
    type Value = Leaf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Leaf, E> {
        Ok(if value { Leaf::True } else { Leaf::Other })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Leaf, E> {
        Ok(Leaf::Text(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Leaf, E> {
        Ok(Leaf::Text(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Leaf, E> {
        Ok(Leaf::Text(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Leaf, E> {
        Ok(Leaf::Text(one_line(value, MOST_WORDS)))
    }

    fn visit_unit<E: Error>(self) -> Result<Leaf, E> {
        Ok(Leaf::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Leaf, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Leaf::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Leaf, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Leaf::Other)
    }
}

/// An element of `result`: a series of a vector, or one of the two parts of a scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Element {
    /// A series with a number, NaN among them, and what it is the number of where that is said.
    Series(f64, Option<Counted>),
    /// A series of histograms.
    Histogram,
    /// A text or a number, as a number.
    Leaf(Option<f64>),
    /// What cannot be read.
    Other,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Series {
    metric: Labels,
    value: Option<Sample>,
    histogram: Option<IgnoredAny>,
}

/// The labels of a series that say what its number is the number of.
#[derive(Default)]
struct Labels {
    count: Leaf,
    le: Leaf,
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LabelsVisitor)
    }
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Labels, A::Error> {
        let mut labels = Labels::default();
        while let Some(name) = members.next_key::<Leaf>()? {
            match name.text() {
                "count" => labels.count = members.next_value()?,
                "le" => labels.le = members.next_value()?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(labels)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Labels, A::Error> {
        LeafVisitor.visit_seq(elements).map(|_| Labels::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_unit<E: Error>(self) -> Result<Labels, E> {
        Ok(Labels::default())
    }
}

/// A time, and the value as text.
#[derive(Deserialize)]
struct Sample(IgnoredAny, Leaf);

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a series, a time or a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Element, A::Error> {
        let series = Series::deserialize(MapAccessDeserializer::new(members))?;
        let number = series.value.and_then(|Sample(_, value)| value.number());
        Ok(match (series.histogram, number) {
            (Some(_), _) => Element::Histogram,
            (None, Some(number)) => {
                let Labels { count, le } = &series.metric;
                Element::Series(number, Counted::named(count.text(), le.text(), number))
            }
            (None, None) => Element::Other,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Element, A::Error> {
        LeafVisitor.visit_seq(elements).map(|_| Element::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Element, E> {
        Ok(Element::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Element, E> {
        Ok(Element::Other)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Element, E> {
        LeafVisitor.visit_i64(value).map(|leaf| Element::Leaf(leaf.number()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Element, E> {
        LeafVisitor.visit_u64(value).map(|leaf| Element::Leaf(leaf.number()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Element, E> {
        Ok(Element::Leaf(Some(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Element, E> {
        Ok(Element::Leaf(value.parse().ok()))
    }
}

/// The first elements of a list, and how many there are.
struct List<T, const MOST: usize> {
    first: Vec<T>,
    length: usize,
}

impl<T, const MOST: usize> Default for List<T, MOST> {
    fn default() -> Self {
        Self { first: Vec::new(), length: 0 }
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for List<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for ListVisitor<T, MOST> {
    type Value = List<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut first = Vec::new();
        while first.len() < MOST {
            let Some(element) = elements.next_element()? else {
                return Ok(List { length: first.len(), first });
            };
            first.push(element);
        }
        let mut length = first.len();
        while elements.next_element::<IgnoredAny>()?.is_some() {
            length = length.saturating_add(1);
        }
        Ok(List { first, length })
    }
}
