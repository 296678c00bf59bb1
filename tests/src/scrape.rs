//! Reading `/metrics`: one sample, or the sum of all samples of a family that carry the wanted labels.

/// Returns the sum of the samples called `name` whose labels include `labels`; 0 when there is none.
pub fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let sample = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let (set, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_once('}')?,
            None => ("", rest),
        };
        let all = value.starts_with(' ') && wanted.iter().all(|label| set.split(',').any(|own| own == label));
        all.then(|| value.split_whitespace().next()?.parse::<f64>().ok()).flatten()
    };
    text.lines().filter_map(sample).sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn samples_are_summed_over_the_labels_that_were_not_asked_for() {
        let text =
            "# HELP a x\na_total{p=\"x\",q=\"1\"} 2\na_total{p=\"x\",q=\"2\"} 3\na_total{p=\"y\",q=\"1\"} 7\nb 4\n";
        assert_eq!(sum(text, "a_total", &[("p", "x")]), 5.0);
        assert_eq!(sum(text, "a_total", &[]), 12.0);
        assert_eq!((sum(text, "b", &[]), sum(text, "a", &[])), (4.0, 0.0));
    }
}
