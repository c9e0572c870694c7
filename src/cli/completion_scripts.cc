#include "cli/completion_scripts.h"

#include <algorithm>

#include "base/text.h"
#include "cli/command_table.h"

namespace pf::cli {
namespace {

std::vector<std::string> first_words() {
  std::vector<std::string> out;
  for (const auto& spec : commands()) {
    const std::string_view name = spec.words;
    const auto word = name.substr(0, name.find(' '));
    if (out.empty() || out.back() != word) out.emplace_back(word);
  }
  return out;
}

std::vector<std::string> second_words(std::string_view first) {
  std::vector<std::string> out;
  for (const auto& spec : commands()) {
    const std::string_view name = spec.words;
    const size_t space = name.find(' ');
    if (space != std::string_view::npos && name.substr(0, space) == first)
      out.emplace_back(name.substr(space + 1));
  }
  return out;
}

bool takes_value(const OptionSpec& option) { return *option.value != '\0' && option.otherwise == nullptr; }
bool is_folder(const OptionSpec& option) { return option.value == std::string_view("DIR"); }
bool is_file(const OptionSpec& option) { return std::string_view(option.value).substr(0, 4) == "FILE"; }

bool is_run(const OptionSpec& option) { return option.value == std::string_view("RUN"); }

// What says which pipeline and state are meant, and is passed on where a shell asks us for runs and
// instances.
constexpr std::string_view kSame[] = {"--state-dir", "--pipeline", "--profile"};

// Runs, newest first, and instances, one a line, as the shells' functions of these names find them out.
// `list` and `graph` write nothing; what they say when they fail is nobody's business here.
constexpr std::string_view kAskRuns = "runs list \"$file\" --quiet --limit 50";
constexpr std::string_view kAskInstances = "graph \"$file\" --format dot";
// Of `  n0 [label="type.name",…];` the address, unless a shell would have to quote it.
constexpr std::string_view kAddress = "s/^  n[0-9]* .label=\"\\([A-Za-z0-9._-]*\\)\".*/\\1/p";

std::vector<std::string> flags_of(const CommandSpec& spec) {
  std::vector<std::string> out;
  for (const OptionSpec* option : spec.options) {
    out.push_back(std::string("--") + option->name);
    if (option->letter != 0) out.push_back(std::string("-") + option->letter);
  }
  return out;
}

// Within single quotes of a shell.
std::string single(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  return out;
}

std::string zsh_text(std::string_view text) {
  std::string out;
  for (char c : single(text)) {
    if (c == ':' || c == '[' || c == ']') out += '\\';
    out += c;
  }
  return out;
}

std::string summary_of(const std::string& first) {
  for (const auto& spec : commands()) {
    if (first == spec.words) return spec.summary;
  }
  return "Commands for " + first + (first.back() == 's' ? "" : "s");
}

}  // namespace

std::string bash_completion() {
  std::string out =
      "# bash completion for pangeo-forge\n"
      "_pangeo_forge() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"\" command=\"\" operands=0 word i\n"
      "  COMPREPLY=()\n"
      "  # `--option=value` comes as three words.\n"
      "  if [[ $current == \"=\" ]]; then current=\"\"; previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
      "  elif ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[COMP_CWORD-1]} == \"=\" ]]; then "
      "previous=\"${COMP_WORDS[COMP_CWORD-2]}\"\n"
      "  elif ((COMP_CWORD > 0)); then previous=\"${COMP_WORDS[COMP_CWORD-1]}\"; fi\n"
      "  local skip=0 file=\"\" same=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    word=\"${COMP_WORDS[i]}\"\n"
      "    case \"$word\" in\n"
      "      " +
      join(std::vector<std::string>(std::begin(kSame), std::end(kSame)), "|") +
      ")\n"
      "        if [[ ${COMP_WORDS[i+1]} == \"=\" ]]; then same+=(\"$word\" \"${COMP_WORDS[i+2]}\")\n"
      "        else same+=(\"$word\" \"${COMP_WORDS[i+1]}\"); fi ;;\n"
      "    esac\n"
      "    if ((skip)); then skip=0; continue; fi\n"
      "    case \"$word\" in\n"
      "      ";
  std::vector<std::string> with_value;
  for (const auto& spec : commands()) {
    for (const OptionSpec* option : spec.options) {
      const std::string name = std::string("--") + option->name;
      if (takes_value(*option) && std::find(with_value.begin(), with_value.end(), name) == with_value.end()) {
        with_value.push_back(name);
      }
    }
  }
  out += join(with_value, "|") +
         ") [[ ${COMP_WORDS[i+1]} == \"=\" ]] || skip=1 ;;\n"
         "      =) skip=1 ;;\n"
         "      -*) ;;\n"
         "      *)\n"
         "        if [[ -z $command ]]; then command=\"$word\"\n";
  for (const auto& first : first_words()) {
    if (!second_words(first).empty()) {
      out += "        elif [[ $command == " + first + " ]]; then command=\"$command $word\"\n";
    }
  }
  out +=
      "        else ((operands)) || file=\"$word\"; operands=$((operands + 1)); fi ;;\n"
      "    esac\n"
      "  done\n"
      "  local words=\"\" files=\"\" folders=\"\" paths=\"\" runs=\"\" instances=\"\"\n"
      "  case \"$command:$previous\" in\n";
  for (const auto& spec : commands()) {
    for (const OptionSpec* option : spec.options) {
      if (!takes_value(*option)) continue;
      out += "    '" + std::string(spec.words) + ":--" + option->name + "') ";
      if (is_folder(*option))
        out += "folders=1";
      else if (is_file(*option))
        out += "paths=1";
      else if (*option->choices != '\0')
        out += "words='" + join(choices_of(*option), " ") + "'";
      else if (is_run(*option))
        out += "runs=1";
      else
        out += "return";
      out += " ;;\n";
    }
  }
  out +=
      "    *)\n"
      "      case \"$command\" in\n"
      "        '') words='" +
      join(first_words(), " ") + " help --help --version' ;;\n";
  for (const auto& first : first_words()) {
    const auto seconds = second_words(first);
    if (!seconds.empty()) out += "        '" + first + "') words='" + join(seconds, " ") + "' ;;\n";
  }
  for (const auto& spec : commands()) {
    out += "        '" + std::string(spec.words) + "')\n          if [[ $current == -* ]]; then words='" +
           join(flags_of(spec), " ") + "'\n";
    if (spec.operands[0].kind == Operand::pipeline_file)
      out += "          elif ((operands == 0)); then files=1\n";
    if (spec.operands[0].kind == Operand::shell) {
      out += "          elif ((operands == 0)); then words='bash zsh fish'\n";
    }
    for (size_t i = 1; i < std::size(spec.operands); ++i) {
      const Operand kind = spec.operands[i].kind;
      if (kind != Operand::run && kind != Operand::address) continue;
      out += "          elif ((operands == " + std::to_string(i) + ")); then " +
             (kind == Operand::run ? "runs=1" : "instances=1") + "\n";
    }
    out += "          fi ;;\n";
  }
  out +=
      "      esac ;;\n"
      "  esac\n"
      "  file=\"${file/#\\~\\//$HOME/}\"\n"
      "  if [[ -n $runs ]]; then\n"
      "    words=$(\"${COMP_WORDS[0]}\" " +
      std::string(kAskRuns) +
      " \"${same[@]}\" 2>/dev/null | cut -d' ' -f1)\n"
      "  elif [[ -n $instances ]]; then\n"
      "    words=$(\"${COMP_WORDS[0]}\" " +
      std::string(kAskInstances) + " \"${same[@]}\" 2>/dev/null | sed -n '" + std::string(kAddress) +
      "')\n"
      "  fi\n"
      "  local IFS=$'\\n'\n"
      "  if [[ -n $files ]]; then\n"
      "    COMPREPLY=($(compgen -f -X '!*.@(yaml|yml)' -- \"$current\") $(compgen -d -S / -- \"$current\"))\n"
      "    compopt -o filenames -o nospace 2>/dev/null\n"
      "    ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} != */ ]] && compopt +o nospace 2>/dev/null\n"
      "  elif [[ -n $folders ]]; then\n"
      "    COMPREPLY=($(compgen -d -- \"$current\"))\n"
      "    compopt -o filenames 2>/dev/null\n"
      "  elif [[ -n $paths ]]; then\n"
      "    COMPREPLY=($(compgen -f -- \"$current\"))\n"
      "    compopt -o filenames 2>/dev/null\n"
      "  else\n"
      "    IFS=' '\n"
      "    COMPREPLY=($(IFS=$' \\n'; compgen -W \"$words\" -- \"$current\" | tr '\\n' ' '))\n"
      "  fi\n"
      "  return 0\n"
      "}\n"
      "shopt -s extglob\n"
      "complete -F _pangeo_forge pangeo-forge\n";
  return out;
}

std::string zsh_completion() {
  std::string out =
      "#compdef pangeo-forge\n"
      "# zsh completion for pangeo-forge\n"
      "\n"
      "# The first operand behind the command, and what says which state is meant.\n"
      "_pangeo_forge_ask() {\n"
      "  local i file='' same=()\n"
      "  for ((i = 2; i < CURRENT; i++)); do\n"
      "    case \"${words[i]}\" in\n"
      "      --state-dir|--pipeline|--profile) same+=(\"${words[i]}\" \"${(Q)words[i+1]}\"); ((i++)) ;;\n"
      "      --state-dir=*|--pipeline=*|--profile=*) same+=(\"${(Q)words[i]}\") ;;\n"
      "      --*=*) ;;\n"
      "      --extensions|--format|--var|--run|--attempt|--limit|--log-level) ((i++)) ;;\n"
      "      -*) ;;\n"
      "      *) file=\"${(Q)words[i]}\"; break ;;\n"
      "    esac\n"
      "  done\n"
      "  [[ -n $file ]] || return\n"
      "  case \"$1\" in\n"
      "    runs) reply=(${(f)\"$(pangeo-forge " +
      std::string(kAskRuns) +
      " \"${same[@]}\" 2>/dev/null | cut -d' ' -f1)\"}) ;;\n"
      "    *) reply=(${(f)\"$(pangeo-forge " +
      std::string(kAskInstances) + " \"${same[@]}\" 2>/dev/null | sed -n '" + std::string(kAddress) +
      "')\"}) ;;\n"
      "  esac\n"
      "}\n"
      "_pangeo_forge_run_ids() { local -a reply; _pangeo_forge_ask runs; compadd -V runs -a reply }\n"
      "_pangeo_forge_instances() { local -a reply; _pangeo_forge_ask instances; compadd -a reply }\n"
      "\n";
  const auto function_of = [](std::string_view words) {
    std::string name = "_pangeo_forge_";
    for (char c : words) name += c == ' ' || c == '-' ? '_' : c;
    return name;
  };
  for (const auto& spec : commands()) {
    out += function_of(spec.words) + "() {\n  _arguments -s -S";
    for (const OptionSpec* option : spec.options) {
      const std::string name = std::string("--") + option->name;
      const std::string text = "[" + zsh_text(option->help) + "]";
      std::string value;
      if (takes_value(*option)) {
        value = std::string(":") + zsh_text(option->value) + ":";
        if (is_folder(*option))
          value += "_files -/";
        else if (is_file(*option))
          value += "_files";
        else if (*option->choices != '\0')
          value += "(" + join(choices_of(*option), " ") + ")";
        else if (is_run(*option))
          value += "_pangeo_forge_run_ids";
      }
      const std::string star = option->repeatable ? "*" : "";
      out += " \\\n    '" + star + name + (takes_value(*option) ? "=" : "") + text + value + "'";
      if (option->letter != 0) out += std::string(" \\\n    '-") + option->letter + text + "'";
    }
    int position = 0;
    for (const OperandSpec& operand : spec.operands) {
      if (operand.kind == Operand::none) break;
      out += " \\\n    '" + std::to_string(++position) + (operand.required ? ":" : "::") + operand.name + ":";
      if (operand.kind == Operand::pipeline_file) out += "_files -g \"*.(yaml|yml)(-.)\"";
      if (operand.kind == Operand::shell) out += "(bash zsh fish)";
      if (operand.kind == Operand::run) out += "_pangeo_forge_run_ids";
      if (operand.kind == Operand::address) out += "_pangeo_forge_instances";
      out += "'";
    }
    out += "\n}\n\n";
  }
  const auto list = [&](const std::vector<std::string>& words, const std::string& prefix) {
    std::string lines;
    for (const auto& word : words) {
      std::string summary = prefix.empty() ? summary_of(word) : std::string();
      for (const auto& spec : commands()) {
        if (prefix + word == spec.words) summary = spec.summary;
      }
      lines += "    '" + zsh_text(word) + ":" + zsh_text(summary) + "'\n";
    }
    return lines;
  };
  for (const auto& first : first_words()) {
    const auto seconds = second_words(first);
    if (seconds.empty()) continue;
    out += function_of(first) + "() {\n  local -a subcommands=(\n" + list(seconds, first + " ") +
           "  )\n  if ((CURRENT == 2)); then\n    _describe command subcommands\n    return\n  fi\n"
           "  local command=\"${words[2]}\"\n  shift words\n  ((CURRENT--))\n  case \"$command\" in\n";
    for (const auto& second : seconds)
      out += "    " + second + ") " + function_of(first + " " + second) + " ;;\n";
    out += "  esac\n}\n\n";
  }
  out += "_pangeo_forge() {\n  local -a subcommands=(\n" + list(first_words(), "") +
         "  )\n  if ((CURRENT == 2)); then\n    _describe command subcommands\n    return\n  fi\n"
         "  local command=\"${words[2]}\"\n  shift words\n  ((CURRENT--))\n  case \"$command\" in\n";
  for (const auto& first : first_words()) out += "    " + first + ") " + function_of(first) + " ;;\n";
  out +=
      "  esac\n}\n\n"
      "if [[ $funcstack[1] == _pangeo-forge ]]; then\n  _pangeo_forge \"$@\"\nelse\n"
      "  compdef _pangeo_forge pangeo-forge\nfi\n";
  return out;
}

std::string fish_completion() {
  std::string out =
      "# fish completion for pangeo-forge\n"
      "# The pipeline file of the line, and what says which state is meant.\n"
      "function __pangeo_forge_ask\n"
      "    set -l line (commandline -opc)\n"
      "    set -l file\n"
      "    set -l same\n"
      "    for i in (seq (count $line))\n"
      "        switch $line[$i]\n"
      "            case '--state-dir=*' '--pipeline=*' '--profile=*'\n"
      "                set -a same $line[$i]\n"
      "            case --state-dir --pipeline --profile\n"
      "                set -a same $line[$i] $line[(math $i + 1)]\n"
      "            case '*.yaml' '*.yml'\n"
      "                test -z \"$file\"; and set file $line[$i]\n"
      "        end\n"
      "    end\n"
      "    test -n \"$file\"; or return\n"
      "    switch $argv[1]\n"
      "        case runs\n"
      "            pangeo-forge " +
      std::string(kAskRuns) +
      " $same 2>/dev/null | cut -d' ' -f1\n"
      "        case '*'\n"
      "            pangeo-forge " +
      std::string(kAskInstances) + " $same 2>/dev/null | sed -n '" + std::string(kAddress) +
      "'\n"
      "    end\n"
      "end\n"
      "complete -c pangeo-forge -f\n";
  for (const auto& first : first_words()) {
    out += "complete -c pangeo-forge -n __fish_use_subcommand -a " + first + " -d '" +
           single(summary_of(first)) + "'\n";
  }
  for (const auto& spec : commands()) {
    const std::string_view name = spec.words;
    const size_t space = name.find(' ');
    std::string condition = "__fish_seen_subcommand_from " + std::string(name.substr(0, space));
    if (space != std::string_view::npos) {
      const std::string second(name.substr(space + 1));
      const auto all = join(second_words(name.substr(0, space)), " ");
      out += "complete -c pangeo-forge -n '" + condition + "; and not __fish_seen_subcommand_from " + all +
             "' -a " + second + " -d '" + single(spec.summary) + "'\n";
      condition += "; and __fish_seen_subcommand_from " + second;
    }
    for (const OptionSpec* option : spec.options) {
      out += "complete -c pangeo-forge -n '" + condition + "' -l " + option->name;
      if (option->letter != 0) out += std::string(" -s ") + option->letter;
      if (takes_value(*option)) {
        out += is_file(*option) ? " -r -F" : " -x";
        if (is_folder(*option))
          out += " -a '(__fish_complete_directories)'";
        else if (*option->choices != '\0')
          out += " -a '" + join(choices_of(*option), " ") + "'";
        else if (is_run(*option))
          out += " -k -a '(__pangeo_forge_ask runs)'";
      }
      out += " -d '" + single(option->help) + "'\n";
    }
    if (spec.operands[0].kind == Operand::pipeline_file) {
      out += "complete -c pangeo-forge -n '" + condition + "' -k -a '(__fish_complete_suffix .yaml)'\n";
    }
    if (spec.operands[0].kind == Operand::shell) {
      out += "complete -c pangeo-forge -n '" + condition + "' -a 'bash zsh fish'\n";
    }
    for (const OperandSpec& operand : spec.operands) {
      if (operand.kind == Operand::run)
        out += "complete -c pangeo-forge -n '" + condition + "' -k -a '(__pangeo_forge_ask runs)'\n";
      if (operand.kind == Operand::address)
        out += "complete -c pangeo-forge -n '" + condition + "' -a '(__pangeo_forge_ask instances)'\n";
    }
  }
  return out;
}

}  // namespace pf::cli
