use super::*;

#[test]
fn a_lineage_is_read_from_its_path_and_from_nothing_that_only_looks_like_it() {
    let path = "2/gateway-0/0190163d-8694-739b-aea5-966c26f8ad91";
    let lineage = Lineage::parse(path).expect("a path");
    assert_eq!((lineage.generation, lineage.pod.as_str(), lineage.path()), (2, "gateway-0", path.to_owned()));
    assert_eq!(Lineage::parse(&format!("{path}/ltx/0/x.ltx")), Some(lineage));
    let upper = "2/gateway-0/0190163D-8694-739B-AEA5-966C26F8AD91";
    for wrong in ["", "2/gateway-0", "02/gateway-0/0190163d-8694-739b-aea5-966c26f8ad91", upper, "x/y/z"] {
        assert_eq!(Lineage::parse(wrong), None, "{wrong}");
    }
}
