use super::*;

#[test]
fn it_works_on_as_many_processors_as_the_settings_say() {
    let said = |args: &ReplicaArgs| {
        let command = Litestream::new(args).command();
        let value = command.get_envs().find(|(name, _)| *name == "GOMAXPROCS").and_then(|(_, value)| value);
        value.map(|value| value.to_string_lossy().into_owned())
    };
    let mut args = ReplicaArgs::for_tests("litestream".into());
    assert_eq!(said(&args).as_deref(), Some("1"));
    args.litestream_processors = NonZeroU16::new(4).expect("not zero");
    assert_eq!(said(&args).as_deref(), Some("4"));
}
