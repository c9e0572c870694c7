// The keys that say how instances run, who cleans up, what hooks are called and where secrets come from.
#include <gtest/gtest.h>

#include "loading.h"

namespace pf::pipeline {
namespace {

std::string core_errors(const std::string& core) {
  return errors_of("p:\n  core:\n    " + core + "\n  t: [{name: a}]\n");
}
std::string item_errors(const std::string& keys) {
  return errors_of("p:\n  core: {pools: {db: 2, web: 1}}\n  t:\n    - {name: a, " + keys + "}\n");
}

std::string text_of(const CachePolicy& cache) {
  static const char* const kKinds[] = {"automatic", "always", "never", "max_age"};
  return kKinds[static_cast<int>(cache.kind)] + std::string(" ") + std::to_string(cache.max_age.count());
}

TEST(Keys, SayHowInstancesRun) {
  Loading loading(R"(p:
  core:
    execution_defaults: {deadline: 1h, cache: never, priority: -1, pool: web, on_failure: destroy, max_parallel: {all: 12, t: 3}}
    pools: {db: 2, web: 7}
    deadline: 2h30m
    variables: {pool: db, age: 24h}
  t:
    - {name: a}
    - {name: b, deadline: 5m, cache: true, priority: 1000, pool: "${var.pool}", on_failure: keep}
    - {name: c, cache: {max_age: "${var.age}"}, protect: true}
    - {name: d, cache: auto, on_failure: destroy}
    - {name: e, cache: false, for_each: [1, 2], priority: "${each.value}"}
  u: [{name: f}]
)");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(pipeline->deadline, Milliseconds(9'000'000));
  EXPECT_EQ(pipeline->max_parallel, 12U);
  EXPECT_EQ(pipeline->sections[0].max_parallel, 3U);
  EXPECT_EQ(pipeline->sections[1].max_parallel, 0U);
  ASSERT_EQ(pipeline->pools.size(), 2U);
  EXPECT_EQ(pipeline->pools[0].name + " " + std::to_string(pipeline->pools[0].size), "db 2");
  EXPECT_EQ(pipeline->pools[1].name + " " + std::to_string(pipeline->pools[1].size), "web 7");
  EXPECT_EQ(pipeline->pools[1].at.line, 4U);
  std::string all;
  for (uint32_t i = 0; i < pipeline->instances.size(); ++i) {
    const Settings& settings = pipeline->settings[pipeline->instances[i].settings];
    all += pipeline->address(i) + ' ' + std::to_string(settings.deadline.count()) + ' ' +
           text_of(settings.cache) + ' ' + std::to_string(settings.priority) + ' ' +
           std::to_string(settings.pool) + (settings.destroy_failed ? " destroy" : " keep") +
           (settings.protect ? " protected" : "") + '\n';
  }
  EXPECT_EQ(all,
            "t.a 3600000 never 0 -1 1 destroy\n"
            "t.b 300000 always 0 1000 0 keep\n"
            "t.c 3600000 max_age 86400000 -1 1 keep protected\n"
            "t.d 3600000 automatic 0 -1 1 destroy\n"
            "t.e[\"1\"] 3600000 never 0 1 1 destroy\n"
            "t.e[\"2\"] 3600000 never 0 2 1 destroy\n"
            "u.f 3600000 never 0 -1 1 destroy\n");
}

TEST(Keys, RefuseWrongValuesInInstances) {
  EXPECT_EQ(item_errors("deadline: 30"),
            "p.yaml:4:27: t.a.deadline is 30, expected a duration [pipeline.type]\n"
            "  hint: write it with a unit, such as 500ms, 30s, 5m or 1h30m\n");
  EXPECT_EQ(item_errors("cache: sometimes"),
            "p.yaml:4:24: t.a.cache is the text 'sometimes', expected true, false, never, auto or {max_age: "
            "DURATION} [pipeline.type]\n");
  EXPECT_EQ(item_errors("cache: {maxage: 1h}"),
            "p.yaml:4:25: 'maxage' is no key of t.a.cache [pipeline.unknown_key]\n  hint: did you mean "
            "'max_age'?\n");
  EXPECT_EQ(item_errors("cache: {}"),
            "p.yaml:4:24: t.a.cache is a mapping, expected true, false, never, auto or {max_age: DURATION} "
            "[pipeline.type]\n");
  EXPECT_EQ(item_errors("cache: {max_age: 7}"),
            "p.yaml:4:34: t.a.cache.max_age is 7, expected a duration [pipeline.type]\n"
            "  hint: write it with a unit, such as 500ms, 30s, 5m or 1h30m\n");
  EXPECT_EQ(item_errors("priority: high"),
            "p.yaml:4:27: t.a.priority is the text 'high', expected an integer from -1000000 to 1000000 "
            "[pipeline.type]\n");
  EXPECT_EQ(item_errors("priority: 1000001"),
            "p.yaml:4:27: t.a.priority is 1000001, expected an integer from -1000000 to 1000000 "
            "[pipeline.value]\n");
  EXPECT_EQ(item_errors("pool: wbe"),
            "p.yaml:4:23: t.a.pool is 'wbe', expected a pool of core.pools [pipeline.unknown_pool]\n"
            "  hint: did you mean 'web'?\n");
  EXPECT_EQ(item_errors("pool: gpu"),
            "p.yaml:4:23: t.a.pool is 'gpu', expected a pool of core.pools [pipeline.unknown_pool]\n"
            "  hint: the pools are: db, web\n");
  EXPECT_EQ(errors_of("p:\n  t: [{name: a, pool: gpu}]\n"),
            "p.yaml:2:23: t.a.pool is 'gpu', expected a pool of core.pools [pipeline.unknown_pool]\n"
            "  hint: declare it: core: {pools: {gpu: 1}}\n");
  EXPECT_EQ(item_errors("pool: [db]"),
            "p.yaml:4:23: t.a.pool is a list, expected the name of a pool, as text [pipeline.type]\n");
  EXPECT_EQ(item_errors("protect: 1"), "p.yaml:4:26: t.a.protect is 1, expected a boolean [pipeline.type]\n");
  EXPECT_EQ(item_errors("finally: no"),
            "p.yaml:4:26: t.a.finally is the text 'no', expected a boolean [pipeline.type]\n");
  EXPECT_EQ(item_errors("on_failure: remove"),
            "p.yaml:4:29: t.a.on_failure is the text 'remove', expected keep or destroy [pipeline.type]\n");
  EXPECT_EQ(item_errors("on_failure: destroy, protect: true"),
            "p.yaml:4:29: t.a is protected, and asks to be destroyed when it fails [pipeline.conflict]\n"
            "  hint: remove protect, or write on_failure: keep\n");
}

TEST(Keys, RefuseWrongValuesInCore) {
  EXPECT_EQ(core_errors("deadline: soon"),
            "p.yaml:3:15: core.deadline is the text 'soon', expected a duration [pipeline.type]\n"
            "  hint: write it with a unit, such as 500ms, 30s, 5m or 1h30m\n");
  EXPECT_EQ(core_errors("pools: [db]"),
            "p.yaml:3:12: core.pools is a list, expected a mapping of names to numbers [pipeline.type]\n"
            "  hint: write pools: {db: 2}\n");
  EXPECT_EQ(core_errors("pools: {db: 0}"),
            "p.yaml:3:17: core.pools.db is 0, expected an integer from 1 to 10000 [pipeline.value]\n");
  EXPECT_EQ(core_errors("pools: {'d b': 1}"),
            "p.yaml:3:13: 'd b' is no name of a pool, expected letters, digits, '_' and '-', beginning with "
            "a letter [pipeline.name]\n  hint: rename the pool\n");
  EXPECT_EQ(core_errors("execution_defaults: {pool: x}"),
            "p.yaml:3:32: core.execution_defaults.pool is 'x', expected a pool of core.pools "
            "[pipeline.unknown_pool]\n  hint: declare it: core: {pools: {x: 1}}\n");
  EXPECT_EQ(core_errors("execution_defaults: {limits: {memory: 1MiB}}"),
            "p.yaml:3:26: 'limits' is not supported by this version [pipeline.not_supported]\n  hint: remove "
            "the key\n");
  EXPECT_EQ(core_errors("execution_defaults: {max_parallel: {al: 2, u: 0}}"),
            "p.yaml:3:41: the pipeline has no section 'al' [pipeline.unknown_section]\n  hint: did you mean "
            "'all'?\n"
            "p.yaml:3:48: the pipeline has no section 'u' [pipeline.unknown_section]\n  hint: did you mean "
            "'t'?\n");
  EXPECT_EQ(core_errors("execution_defaults: {max_parallel: {t: 0}}"),
            "p.yaml:3:44: core.execution_defaults.max_parallel.t is 0, expected an integer from 1 to 10000 "
            "[pipeline.value]\n");
  EXPECT_EQ(core_errors("execution_defaults: {max_parallel: [1]}"),
            "p.yaml:3:40: core.execution_defaults.max_parallel is a list, expected an integer, or a mapping "
            "of sections to integers [pipeline.type]\n  hint: write max_parallel: {all: 16, terraform: "
            "2}\n");
}

TEST(Keys, FinallyIsWaitedForByNobodyElse) {
  EXPECT_EQ(errors_of("p:\n  t:\n    - {name: a, finally: true}\n    - {name: b, depends_on: [t.a]}\n"),
            "p.yaml:4:30: t.b waits for t.a, which is finally: it runs when all that is not is over "
            "[graph.finally]\n  hint: remove the dependency, or write finally: true here as well\n");
  EXPECT_EQ(errors_of("p:\n  t:\n    - {name: a, finally: true}\n    - {name: b, x: "
                      "'${t.a.outputs.y}'}\n"),
            "p.yaml:4:23: t.b waits for t.a, which is finally: it runs when all that is not is over "
            "[graph.finally]\n  hint: remove the dependency, or write finally: true here as well\n");
  EXPECT_EQ(errors_of("p:\n  t:\n    - {name: a, finally: true}\n    - {name: b, finally: true, depends_on: "
                      "[t.a]}\n    - {name: c}\n    - {name: d, finally: true, depends_on: [t.c]}\n"),
            "no error");
}

TEST(Keys, OrderDoesNotCountFinally) {
  Loading loading(R"(p:
  core: {order: sequential}
  t: [{name: a}, {name: clean, finally: true}, {name: b}]
  u: [{name: tidy, finally: true}, {name: c}]
)");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(graph_of(*pipeline), "t.a <-\nt.clean <-\nt.b <- t.a(order)\nu.tidy <-\nu.c <- t.b(order)\n");
}

TEST(Keys, MovedNamesWhatWasAndWhatIs) {
  const auto moved = [](const std::string& entries) {
    return errors_of("p:\n  core:\n    moved: " + entries +
                     "\n  t:\n    - {name: a}\n    - {name: w, for_each: [x]}\n");
  };
  EXPECT_EQ(moved("[{from: old.a, to: t.a}, {from: t.v, to: 't.w[\"x\"]'}]"), "no error");
  EXPECT_EQ(moved("[{from: t.a, to: 't.w[\"x\"]'}]"),
            "p.yaml:3:20: t.a is said to have moved, but it is still there, at p.yaml:5:7 [pipeline.moved]\n"
            "  hint: remove the instance, or this entry\n");
  EXPECT_EQ(moved("[{from: t.b, to: t.ab}]"),
            "p.yaml:3:29: there is no instance 't.ab' that t.b can have become [pipeline.moved]\n"
            "  hint: did you mean 't.a'?\n");
  EXPECT_EQ(moved("[{from: t.b, to: t.a}, {from: t.b, to: t.a}]"),
            "p.yaml:3:42: t.b is said to have moved already, at p.yaml:3:13 [pipeline.moved]\n"
            "  hint: keep one of the two\n");
  EXPECT_EQ(moved("[{from: t.b, to: t.a}, {from: t.c, to: t.a}]"),
            "p.yaml:3:51: t.a is what another became already, at p.yaml:3:13 [pipeline.moved]\n"
            "  hint: keep one of the two\n");
  EXPECT_EQ(moved("[{from: t.b}]"),
            "p.yaml:3:13: core.moved[0] has no to, expected {from: TYPE.NAME, to: TYPE.NAME} "
            "[pipeline.type]\n");
  EXPECT_EQ(moved("[{form: t.b, to: t.a}]"),
            "p.yaml:3:14: 'form' is no key of core.moved[0] [pipeline.unknown_key]\n  hint: did you mean "
            "'from'?\n");
  EXPECT_EQ(moved("[{from: b, to: t.a}]"),
            "p.yaml:3:20: core.moved[0].from is the text 'b', expected an address, TYPE.NAME "
            "[pipeline.type]\n");
  EXPECT_EQ(moved("{t.b: t.a}"),
            "p.yaml:3:12: core.moved is a mapping, expected a list [pipeline.type]\n  hint: write moved: "
            "[{from: TYPE.NAME, to: TYPE.NAME}]\n");
  EXPECT_EQ(moved("[t.b]"),
            "p.yaml:3:13: core.moved[0] is the text 't.b', expected {from: TYPE.NAME, to: TYPE.NAME} "
            "[pipeline.type]\n");
}

TEST(Keys, SecretsSayWhereTheyComeFrom) {
  Loading loading(R"(p:
  core:
    variables: {vault: secrets}
    secrets:
      passphrase: {command: [pass, show, "${var.vault}/key"]}
      values:
        TOKEN: {env: GITHUB_TOKEN}
        CERT: {file: "${var.vault}/cert.pem"}
  t: [{name: a, token: "${secret.TOKEN}"}]
)");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  ASSERT_TRUE(pipeline->passphrase);
  EXPECT_EQ(pipeline->passphrase->kind, SecretSource::Kind::command);
  EXPECT_EQ(join(pipeline->passphrase->command, " "), "pass show secrets/key");
  ASSERT_EQ(pipeline->secrets.size(), 2U);
  EXPECT_EQ(pipeline->secrets.at("TOKEN").kind, SecretSource::Kind::environment);
  EXPECT_EQ(pipeline->secrets.at("TOKEN").name, "GITHUB_TOKEN");
  EXPECT_EQ(pipeline->secrets.at("TOKEN").at.line, 7U);
  EXPECT_EQ(pipeline->secrets.at("CERT").kind, SecretSource::Kind::file);
  EXPECT_EQ(pipeline->secrets.at("CERT").file, loading.folder / "secrets/cert.pem");
}

TEST(Keys, RefuseWrongSecrets) {
  static const std::string kForms = "one of {env: NAME}, {file: PATH} and {command: [PROGRAM, \u2026]}";
  EXPECT_EQ(core_errors("secrets: [a]"),
            "p.yaml:3:14: core.secrets is a list, expected a mapping with passphrase and values "
            "[pipeline.type]\n");
  EXPECT_EQ(core_errors("secrets: {value: {}}"),
            "p.yaml:3:15: 'value' is no key of core.secrets [pipeline.unknown_key]\n  hint: did you mean "
            "'values'?\n");
  EXPECT_EQ(core_errors("secrets: {passphrase: hunter2}"),
            "p.yaml:3:27: core.secrets.passphrase is text, expected " + kForms +
                " [pipeline.type]\n  hint: a secret itself does not belong into the file\n");
  EXPECT_EQ(core_errors("secrets: {passphrase: {env: A, file: b}}"),
            "p.yaml:3:27: core.secrets.passphrase is a mapping, expected " + kForms + " [pipeline.type]\n");
  EXPECT_EQ(core_errors("secrets: {values: {T: {evn: A}}}"),
            "p.yaml:3:28: 'evn' is no key of core.secrets.values.T [pipeline.unknown_key]\n  hint: did you "
            "mean 'env'?\n");
  EXPECT_EQ(core_errors("secrets: {values: {T: {env: a-b}}}"),
            "p.yaml:3:33: core.secrets.values.T.env is the text 'a-b', expected the name of an environment "
            "variable [pipeline.type]\n");
  EXPECT_EQ(core_errors("secrets: {values: {T: {file: ''}}}"),
            "p.yaml:3:34: core.secrets.values.T.file is the text '', expected the path of a file "
            "[pipeline.type]\n");
  EXPECT_EQ(core_errors("secrets: {values: {T: {command: []}}}"),
            "p.yaml:3:37: core.secrets.values.T.command names no program, expected [PROGRAM, ARGUMENT, "
            "\u2026] [pipeline.type]\n");
  EXPECT_EQ(core_errors("secrets: {values: {'a b': {env: T}}}"),
            "p.yaml:3:24: 'a b' is no name of a secret, expected letters, digits, '_' and '-', beginning "
            "with a letter [pipeline.name]\n  hint: rename the secret\n");
  EXPECT_EQ(errors_of("p:\n  core: {secrets: {passphrase: {env: PASS}, values: {T: {env: GH}}}, variables: "
                      "{a: '${env.GH}'}}\n  t: [{name: a, x: '${env.PASS}'}]\n"),
            "p.yaml:2:88: 'env.GH' is a secret, which is not read as plain text [expression.secret]\n"
            "  hint: write secret.T\n"
            "p.yaml:3:23: 'env.PASS' is a secret, which is not read as plain text [expression.secret]\n"
            "  hint: use another variable: this one holds core.secrets.passphrase\n");
}

/// `STAGE SCRIPT TIMEOUT [allow_failure] [PERMISSIONS]`, a line for each.
std::string text_of(const std::vector<Hook>& hooks, const std::filesystem::path& folder) {
  std::string out;
  for (const Hook& hook : hooks) {
    out += std::string(to_text(hook.stage)) + ' ' + hook.script.lexically_relative(folder).string() + ' ' +
           std::to_string(hook.timeout.count()) + (hook.allow_failure ? " allow_failure" : "") +
           (hook.permissions.is_null() ? "" : ' ' + to_json(hook.permissions).dump()) + '\n';
  }
  return out;
}

TEST(Hooks, AreReadInEveryForm) {
  Loading loading(R"(p:
  core:
    variables: {page: page}
    hooks:
      before_pipeline: hooks/announce.lua
      after_plan: []
      before_instance: [hooks/announce.lua, {script: "./hooks/${var.page}.lua"}]
      on_error: {script: hooks/page.lua, permissions: {http: ["${config.x}"]}, timeout: 5s, allow_failure: true}
  t:
    - {name: a, hooks: &shared {on_retry: hooks/page.lua, after_instance: hooks/announce.lua}}
    - {name: b, hooks: *shared}
    - {name: c}
    - {name: d, for_each: [announce, page], hooks: {before_instance: "hooks/${each.value}.lua"}}
    - {name: e, hooks: {}}
)");
  std::filesystem::create_directory(loading.folder / "hooks");
  std::ofstream(loading.folder / "hooks/announce.lua") << "return function() end\n";
  std::ofstream(loading.folder / "hooks/page.lua") << "return function() end\n";
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(text_of(pipeline->core_hooks, loading.folder),
            "before_pipeline hooks/announce.lua 60000\n"
            "before_instance hooks/announce.lua 60000\n"
            "before_instance hooks/page.lua 60000\n"
            "on_error hooks/page.lua 5000 allow_failure {\"http\":[\"${config.x}\"]}\n");
  EXPECT_EQ(pipeline->core_hooks[2].at.line, 7U);
  const auto of = [&](const char* address) {
    return pipeline->instances[static_cast<size_t>(pipeline->find(address))].hooks;
  };
  EXPECT_EQ(text_of(pipeline->hooks[of("t.a")], loading.folder),
            "on_retry hooks/page.lua 60000\nafter_instance hooks/announce.lua 60000\n");
  EXPECT_EQ(of("t.b"), of("t.a"));
  EXPECT_EQ(of("t.c"), 0U);
  EXPECT_EQ(of("t.e"), 0U);
  EXPECT_TRUE(pipeline->hooks[0].empty());
  EXPECT_EQ(text_of(pipeline->hooks[of("t.d[\"page\"]")], loading.folder),
            "before_instance hooks/page.lua 60000\n");
}

TEST(Hooks, AreRefusedWhereTheyAreWrong) {
  EXPECT_EQ(core_errors("hooks: [a]"),
            "p.yaml:3:12: core.hooks is a list, expected a mapping of stages to scripts [pipeline.type]\n");
  EXPECT_EQ(core_errors("hooks: {on_eror: a}"),
            "p.yaml:3:13: 'on_eror' is no key of core.hooks [pipeline.unknown_key]\n  hint: did you mean "
            "'on_error'?\n");
  EXPECT_EQ(core_errors("hooks: {on_error: nowhere.lua}"),
            "p.yaml:3:23: core.hooks.on_error names 'nowhere.lua', but there is no such file "
            "[pipeline.hook_missing]\n  hint: the path is relative to the file that it stands in\n");
  EXPECT_EQ(core_errors("hooks: {on_error: [{script: .}]}"),
            "p.yaml:3:33: core.hooks.on_error[0].script names '.', which is no file [pipeline.hook_missing]\n"
            "  hint: the path is relative to the file that it stands in\n");
  EXPECT_EQ(core_errors("hooks: {on_error: {timeout: 0s}}"),
            "p.yaml:3:23: core.hooks.on_error has no script, expected the path of one [pipeline.type]\n"
            "  hint: add script: hooks/NAME.lua\n"
            "p.yaml:3:33: core.hooks.on_error.timeout is 0, expected more [pipeline.value]\n  hint: leave it "
            "out for 60s\n");
  EXPECT_EQ(core_errors("hooks: {on_error: {scrpt: p.yaml, script: p.yaml}}"),
            "p.yaml:3:24: 'scrpt' is no key of core.hooks.on_error [pipeline.unknown_key]\n  hint: did you "
            "mean 'script'?\n");
  EXPECT_EQ(core_errors("hooks: {on_error: {script: p.yaml, permissions: [x], allow_failure: 1}}"),
            "p.yaml:3:53: core.hooks.on_error.permissions is a list, expected a mapping [pipeline.type]\n"
            "p.yaml:3:73: core.hooks.on_error.allow_failure is 1, expected a boolean [pipeline.type]\n");
  EXPECT_EQ(core_errors("hooks: {on_error: 5}"),
            "p.yaml:3:23: core.hooks.on_error is 5, expected the path of a Lua script, or {script, "
            "permissions, timeout, allow_failure} [pipeline.type]\n");
  EXPECT_EQ(item_errors("hooks: {after_plan: p.yaml}"),
            "p.yaml:4:25: 'after_plan' is a stage of the pipeline, not of an instance "
            "[pipeline.misplaced_key]\n  hint: set it in core.hooks; an instance has before_instance, "
            "on_retry, after_instance, on_error\n");
  EXPECT_EQ(item_errors("hooks: {on_eror: p.yaml}"),
            "p.yaml:4:25: 'on_eror' is no key of t.a.hooks [pipeline.unknown_key]\n  hint: did you mean "
            "'on_error'?\n");
}

}  // namespace
}  // namespace pf::pipeline
