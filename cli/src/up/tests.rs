use super::*;
use crate::args::{Cli, Command};
use clap::Parser;

fn parsed(line: &[&str]) -> Box<Args> {
    match Cli::try_parse_from([&["berth", "up"], line].concat()).expect("a valid line").command {
        Command::Up(args) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_keeps_its_store() {
    let ports = Ports { http: 1, config: 2, gateways: vec![3] };
    let home = Home::at(Path::new("/data"));
    let (embedded, postgres) = (parsed(&[]), parsed(&["--config-store", "postgres://berth:hunter2@db/berth"]));
    for (first, second) in [(&embedded, &postgres), (&postgres, &embedded)] {
        let before = record(first, &ports, &[]);
        assert!(same_store(Some(&before), first, &home).is_ok());
        let failure = same_store(Some(&before), second, &home).expect_err("another store");
        assert_eq!(failure.code, Code::Conflict);
        assert!(failure.to_string().contains("PostgreSQL") && !failure.to_string().contains("hunter2"), "{failure}");
    }
    assert!(same_store(None, &postgres, &home).is_ok());
}
