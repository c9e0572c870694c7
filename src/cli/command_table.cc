#include "cli/command_table.h"

#include <algorithm>

namespace pf::cli {
namespace {

// ---- options

constexpr OptionSpec kExtensions = {"extensions", 0,   "DIR", "Look for extensions in DIR first (repeatable)",
                                    "",           true};
constexpr OptionSpec kStateDir = {"state-dir", 0, "DIR",
                                  "Keep state in DIR (default: .pangeo-forge beside FILE)", ""};
constexpr OptionSpec kFormat = {"format", 0, "FORMAT", "Print text for people or json for programs",
                                "text|json"};
constexpr OptionSpec kGraphFormat = {"format", 0, "FORMAT", "Print a tree, or mermaid, dot or json",
                                     "text|mermaid|dot|json"};
constexpr OptionSpec kResults = {"results", 0, "", "Show what became of each instance in the last run", ""};
constexpr OptionSpec kPipeline = {"pipeline", 0, "NAME", "The pipeline, where FILE holds several", ""};
constexpr OptionSpec kProfile = {"profile", 0, "NAME", "The profile to merge over the pipeline", ""};
constexpr OptionSpec kVar = {"var", 0, "NAME=VALUE", "Set a variable; VALUE is YAML (repeatable)", "", true};
constexpr OptionSpec kRun = {"run", 0, "RUN", "The run (default: the last one)", ""};
constexpr OptionSpec kAudit = {"audit", 0, "", "Show the permissioned calls and the refusals instead", ""};
constexpr OptionSpec kReads = {"reads", 0, "", "Show what each instance read instead, with its version", ""};
constexpr OptionSpec kFollow = {"follow", 'f', "", "Go on until the run ends", ""};
constexpr OptionSpec kAttempt = {"attempt", 0, "N", "Only what the attempts of this number did", ""};
constexpr OptionSpec kShowSecrets = {"show-secrets", 0, "",
                                     "Show secret outputs as well; needs the passphrase", ""};
constexpr OptionSpec kLimit = {"limit", 0, "N", "List at most N (default: 20)", ""};
constexpr OptionSpec kKeep = {"keep", 0, "N", "Keep the newest N", ""};
constexpr OptionSpec kOlderThan = {"older-than", 0, "AGE", "Only those begun so long ago: 12h, 30d", ""};
constexpr OptionSpec kYes = {"yes", 'y', "", "Do not ask", ""};
constexpr OptionSpec kMaxParallel = {"max-parallel", 0, "N", "Run at most N instances at once", ""};
constexpr OptionSpec kFailFast = {"fail-fast", 0, "", "Start nothing more after the first failure", ""};
constexpr OptionSpec kOnly = {"only", 0,   "GLOB", "Take only instances TYPE.NAME that match (repeatable)",
                              "",     true};
constexpr OptionSpec kSkip = {"skip", 0, "GLOB", "Leave out instances that match (repeatable)", "", true};
constexpr OptionSpec kFrom = {"from", 0, "GLOB", "Take these and what needs them (repeatable)", "", true};
constexpr OptionSpec kUntil = {"until", 0, "GLOB", "Take these and what they need (repeatable)", "", true};
constexpr OptionSpec kAffected = {
    "affected", 0,     "[=REF]", "Take what differs from commit REF (default: HEAD), and what needs it",
    "",         false, "HEAD"};
constexpr OptionSpec kForce = {"force", 0, "", "Run also what has not changed", ""};
constexpr OptionSpec kResume = {"resume", 0, "", "Go on with the last run, where it was interrupted", ""};
constexpr OptionSpec kAbandonCleanups = {
    "abandon-cleanups", 0, "", "Give up cleanups that dead runs owe, where FILE has the instance no more",
    ""};
constexpr OptionSpec kDryRun = {"dry-run", 0, "", "Say what would run, and why, as preview does", ""};
constexpr OptionSpec kExitCode = {"exit-code", 0, "", "Exit with 2 while something would run", ""};
constexpr OptionSpec kOut = {"out", 0, "PLAN", "Keep the plan in the file PLAN, for run --plan", ""};
constexpr OptionSpec kPlan = {"plan", 0, "PLAN", "Carry out the plan that preview --out kept, or nothing",
                              ""};
constexpr OptionSpec kReport = {"report", 0, "FILE.html",
                                "Write a report of the run to FILE.html when it ends", ""};
constexpr OptionSpec kMetrics = {"metrics", 0, "FILE",
                                 "Write metrics to FILE (OpenMetrics text) when it ends", ""};
constexpr OptionSpec kOrphans = {"orphans", 0, "", "Destroy what the pipeline does not hold any more", ""};
constexpr OptionSpec kVerbose = {"verbose", 'v', "", "Say more", ""};
constexpr OptionSpec kQuiet = {"quiet", 0, "", "Say only what went wrong", ""};
constexpr OptionSpec kLogLevel = {"log-level", 0, "LEVEL",
                                  "The program's own log lines, on stderr (default: warn)",
                                  "debug|info|warn|error|off"};
constexpr OptionSpec kHelp = {"help", 'h', "", "Show this help", ""};

constexpr const OptionSpec* kPreviewOptions[] = {
    &kOnly,     &kSkip,   &kFrom,     &kUntil,   &kAffected, &kForce,   &kOut,   &kExitCode, &kExtensions,
    &kStateDir, &kFormat, &kPipeline, &kProfile, &kVar,      &kVerbose, &kQuiet, &kLogLevel, &kHelp};
constexpr const OptionSpec* kDestroyOptions[] = {
    &kOnly,     &kSkip,   &kFrom,     &kUntil,   &kAffected, &kOrphans, &kYes,   &kMaxParallel, &kExtensions,
    &kStateDir, &kFormat, &kPipeline, &kProfile, &kVar,      &kVerbose, &kQuiet, &kLogLevel,    &kHelp};
constexpr const OptionSpec* kRefreshOptions[] = {
    &kOnly,   &kSkip,     &kFrom,    &kUntil, &kAffected, &kMaxParallel, &kExtensions, &kStateDir,
    &kFormat, &kPipeline, &kProfile, &kVar,   &kVerbose,  &kQuiet,       &kLogLevel,   &kHelp};
constexpr const OptionSpec* kRunOptions[] = {
    &kOnly,    &kSkip,       &kFrom,        &kUntil,           &kAffected,
    &kForce,   &kResume,     &kDryRun,      &kAbandonCleanups, &kYes,
    &kPlan,    &kExtensions, &kStateDir,    &kFormat,          &kPipeline,
    &kProfile, &kVar,        &kMaxParallel, &kFailFast,        &kReport,
    &kMetrics, &kVerbose,    &kQuiet,       &kLogLevel,        &kHelp};
constexpr const OptionSpec* kFileOptions[] = {&kExtensions, &kStateDir, &kFormat, &kPipeline, &kProfile,
                                              &kVar,        &kVerbose,  &kQuiet,  &kLogLevel, &kHelp};
constexpr const OptionSpec* kLogsOptions[] = {&kRun,        &kFollow,   &kAttempt, &kAudit,    &kReads,
                                              &kExtensions, &kStateDir, &kFormat,  &kPipeline, &kProfile,
                                              &kVar,        &kVerbose,  &kQuiet,   &kLogLevel, &kHelp};
constexpr const OptionSpec* kOutputsOptions[] = {&kShowSecrets, &kExtensions, &kStateDir, &kFormat,
                                                 &kPipeline,    &kProfile,    &kVar,      &kVerbose,
                                                 &kQuiet,       &kLogLevel,   &kHelp};
constexpr const OptionSpec* kRunsListOptions[] = {&kLimit,    &kExtensions, &kStateDir, &kFormat,
                                                  &kPipeline, &kProfile,    &kVar,      &kVerbose,
                                                  &kQuiet,    &kLogLevel,   &kHelp};
constexpr const OptionSpec* kRunsPruneOptions[] = {&kKeep,   &kOlderThan, &kYes,     &kExtensions, &kStateDir,
                                                   &kFormat, &kPipeline,  &kProfile, &kVar,        &kVerbose,
                                                   &kQuiet,  &kLogLevel,  &kHelp};
constexpr const OptionSpec* kGraphOptions[] = {&kResults,  &kExtensions, &kStateDir, &kGraphFormat,
                                               &kPipeline, &kProfile,    &kVar,      &kVerbose,
                                               &kQuiet,    &kLogLevel,   &kHelp};
constexpr const OptionSpec* kExtensionOptions[] = {&kExtensions, &kFormat,   &kVerbose,
                                                   &kQuiet,      &kLogLevel, &kHelp};
constexpr const OptionSpec* kVersionOptions[] = {&kFormat, &kVerbose, &kQuiet, &kLogLevel, &kHelp};
constexpr const OptionSpec* kPlainOptions[] = {&kVerbose, &kQuiet, &kLogLevel, &kHelp};

// ---- commands

constexpr OperandSpec kFile = {"FILE", Operand::pipeline_file};
constexpr OperandSpec kNone = {"", Operand::none, false};

constexpr CommandSpec kCommands[] = {
    {Command::run,
     "run",
     "Check a pipeline and carry it out",
     "Nothing starts before the whole file has been checked. What has not changed since it last\n"
     "succeeded is cached: it does not run again. On a terminal a view shows what\n"
     "runs; elsewhere each event is a line. The exit code is 0 when everything succeeded, 1 when\n"
     "something failed, 3 when the input is refused, 4 when another run holds the state.",
     {kFile, kNone},
     kRunOptions,
     "pangeo-forge run prod.yaml\n"
     "pangeo-forge run prod.yaml --var region=eu-west-1 --max-parallel 4\n"
     "pangeo-forge run prod.yaml --until 'kubectl.*' --dry-run\n"
     "pangeo-forge run prod.yaml --plan prod.plan\n"
     "pangeo-forge run prod.yaml --resume\n"
     "pangeo-forge run prod.yaml --format json\n"
     "pangeo-forge run prod.yaml --report run.html --metrics /var/lib/node_exporter/forge.prom"},
    {Command::validate,
     "validate",
     "Check a pipeline without running it",
     "Writes nothing. Exits 0 when the file may run, 3 when something in it is wrong.",
     {kFile, kNone},
     kFileOptions,
     "pangeo-forge validate prod.yaml"},
    {Command::preview,
     "preview",
     "Say what a run would do, and why",
     "Runs nothing, and writes nothing but the file of --out. What depends on outputs of what runs is\n"
     "shown as (computed).",
     {kFile, kNone},
     kPreviewOptions,
     "pangeo-forge preview prod.yaml\n"
     "pangeo-forge preview prod.yaml --only 'terraform.*' --format json\n"
     "pangeo-forge preview prod.yaml --exit-code || echo something would run\n"
     "pangeo-forge preview prod.yaml --out prod.plan && pangeo-forge run prod.yaml --plan prod.plan"},
    {Command::why,
     "why",
     "Say what has changed in an instance since it last succeeded",
     "Prints one line for each part that differs: KEY: OLD -> NEW at FILE:LINE:COLUMN. Writes nothing.",
     {kFile, {"TYPE.NAME", Operand::address}},
     kFileOptions,
     "pangeo-forge why prod.yaml terraform.network"},
    {Command::destroy,
     "destroy",
     "Destroy what runs have made, the last first",
     "Takes what was selected and all that needs it. Asks on a terminal; elsewhere it needs --yes.\n"
     "What is protected (`protect: true`) is refused. Afterwards nothing of it is cached.",
     {kFile, kNone},
     kDestroyOptions,
     "pangeo-forge destroy prod.yaml\n"
     "pangeo-forge destroy prod.yaml --only 'kubectl.*' --yes\n"
     "pangeo-forge destroy prod.yaml --orphans"},
    {Command::refresh,
     "refresh",
     "Let extensions look again at what they made",
     "",
     {kFile, kNone},
     kRefreshOptions,
     "pangeo-forge refresh prod.yaml"},
    {Command::outputs,
     "outputs",
     "Show what the instances put out when they last succeeded",
     "What is secret in outputs is shown as [secret], unless --show-secrets is given and the passphrase is\n"
     "where core.secrets of FILE says, else in PANGEO_FORGE_PASSPHRASE, PULUMI_CONFIG_PASSPHRASE or the "
     "file\n"
     "that PULUMI_CONFIG_PASSPHRASE_FILE names.",
     {kFile, {"TYPE.NAME", Operand::address, false}},
     kOutputsOptions,
     "pangeo-forge outputs prod.yaml\n"
     "pangeo-forge outputs prod.yaml terraform.network --format json\n"
     "PANGEO_FORGE_PASSPHRASE=… pangeo-forge outputs prod.yaml --show-secrets"},
    {Command::status,
     "status",
     "Show how the last run went, or is going",
     "",
     {kFile, kNone},
     kFileOptions,
     "pangeo-forge status prod.yaml\n"
     "pangeo-forge status prod.yaml -v"},
    {Command::logs,
     "logs",
     "Show what was logged in a run, or what was asked of the door",
     "With --audit each line is a call that needed a permission, or one that was refused. With --reads each\n"
     "line is something that an instance's last attempt read of the world, and its version. With --follow\n"
     "it goes on until the run ends, also from another terminal.",
     {kFile, {"TYPE.NAME", Operand::address, false}},
     kLogsOptions,
     "pangeo-forge logs prod.yaml\n"
     "pangeo-forge logs prod.yaml -f\n"
     "pangeo-forge logs prod.yaml terraform.network --attempt 2\n"
     "pangeo-forge logs prod.yaml terraform.network --audit\n"
     "pangeo-forge logs prod.yaml --run 20261121-144738-e79529 --format json"},
    {Command::runs_list,
     "runs list",
     "List the runs of a pipeline, newest first",
     "",
     {kFile, kNone},
     kRunsListOptions,
     "pangeo-forge runs list prod.yaml\n"
     "pangeo-forge runs list prod.yaml --limit 5 --format json"},
    {Command::runs_show,
     "runs show",
     "Show how a run went: its instances, attempts and hooks",
     "Without RUN the last one.",
     {kFile, {"RUN", Operand::run, false}},
     kFileOptions,
     "pangeo-forge runs show prod.yaml\n"
     "pangeo-forge runs show prod.yaml 20261121-144738-e79529"},
    {Command::runs_diff,
     "runs diff",
     "Show what differs between two runs",
     "For each instance: its result, what differs in its configuration and outputs, and its duration where\n"
     "that changed by a fifth or more.",
     {kFile, {"RUN", Operand::run}, {"RUN", Operand::run}},
     kFileOptions,
     "pangeo-forge runs diff prod.yaml 20261120-090211-51c0fe 20261121-144738-e79529"},
    {Command::runs_prune,
     "runs prune",
     "Remove old runs and their logs",
     "What later runs may need stays: the last success of each instance, unfinished runs, and the last run.\n"
     "It asks on a terminal, and needs --yes elsewhere. With both --keep and --older-than only runs go that\n"
     "both allow.",
     {kFile, kNone},
     kRunsPruneOptions,
     "pangeo-forge runs prune prod.yaml --keep 20\n"
     "pangeo-forge runs prune prod.yaml --older-than 30d --yes"},
    {Command::runs_export,
     "runs export",
     "Print all that is known of a run as one JSON document",
     "Without RUN the last one. Secret outputs are not in it.",
     {kFile, {"RUN", Operand::run, false}},
     kFileOptions,
     "pangeo-forge runs export prod.yaml > run.json\n"
     "pangeo-forge runs export prod.yaml 20261121-144738-e79529 | jq .instances"},
    {Command::unlock,
     "unlock",
     "Say who holds the state folder",
     "The lock of a state folder ends with the process that holds it, also when that is killed: nothing is\n"
     "ever left to remove. Exits 4 while somebody holds it, else 0.",
     {kFile, kNone},
     kFileOptions,
     "pangeo-forge unlock prod.yaml"},
    {Command::graph,
     "graph",
     "Show what waits for what",
     "With --results each instance has the result of the last run, as a word or a colour.",
     {kFile, kNone},
     kGraphOptions,
     "pangeo-forge graph prod.yaml\n"
     "pangeo-forge graph prod.yaml --results --format mermaid\n"
     "pangeo-forge graph prod.yaml --format dot | dot -Tsvg > prod.svg"},
    {Command::config,
     "config",
     "Show the pipeline as its profile and its included files make it",
     "Each value has the place in which it is written beside it. Expressions and secrets stay as they\n"
     "are written; nothing is checked but how the files fit together.",
     {kFile, kNone},
     kFileOptions,
     "pangeo-forge config prod.yaml --profile test\n"
     "pangeo-forge config prod.yaml --format json"},
    {Command::extension_list,
     "extension list",
     "List the extensions that pipelines in this folder may use",
     "",
     {kNone, kNone},
     kExtensionOptions,
     "pangeo-forge extension list\n"
     "pangeo-forge extension list --extensions ../shared-extensions"},
    {Command::extension_show,
     "extension show",
     "Show what an extension is and what it may do",
     "",
     {{"NAME", Operand::extension}, kNone},
     kExtensionOptions,
     "pangeo-forge extension show example"},
    {Command::doctor,
     "doctor",
     "Check whether this machine can run pipelines",
     "With FILE it also checks that pipeline and where its state is kept. Exits 1 when something\n"
     "is missing.",
     {{"FILE", Operand::pipeline_file, false}, kNone},
     kFileOptions,
     "pangeo-forge doctor\n"
     "pangeo-forge doctor prod.yaml"},
    {Command::completion,
     "completion",
     "Print a script that lets a shell complete our commands",
     "SHELL is bash, zsh or fish.",
     {{"SHELL", Operand::shell}, kNone},
     kPlainOptions,
     "pangeo-forge completion bash > ~/.local/share/bash-completion/completions/pangeo-forge\n"
     "pangeo-forge completion zsh > ~/.zfunc/_pangeo-forge\n"
     "pangeo-forge completion fish > ~/.config/fish/completions/pangeo-forge.fish"},
    {Command::version,
     "version",
     "Print the version",
     "",
     {kNone, kNone},
     kVersionOptions,
     "pangeo-forge version\n"
     "pangeo-forge version --format json"},
};

}  // namespace

std::span<const CommandSpec> commands() { return kCommands; }

const CommandSpec& spec_of(Command command) {
  for (const auto& spec : kCommands) {
    if (spec.command == command) return spec;
  }
  return kCommands[0];
}

std::string environment_variable(std::string_view option) {
  std::string out = "PANGEO_FORGE_";
  for (char c : option) out += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return out;
}

std::vector<std::string> choices_of(const OptionSpec& option) {
  std::vector<std::string> out;
  for (std::string_view rest = option.choices; !rest.empty();) {
    const size_t end = std::min(rest.find('|'), rest.size());
    out.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

}  // namespace pf::cli
