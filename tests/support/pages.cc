#include "support/pages.h"

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <sstream>

namespace pf::test {
namespace {

namespace fs = std::filesystem;

// `a b=c d="e f"`
std::map<std::string, std::string> words_of(std::string_view text) {
  std::map<std::string, std::string> out;
  size_t at = 0;
  while (at < text.size()) {
    if (text[at] == ' ') {
      ++at;
      continue;
    }
    const size_t end = std::min(text.find_first_of(" =", at), text.size());
    const std::string name(text.substr(at, end - at));
    at = end;
    std::string value;
    if (at < text.size() && text[at] == '=') {
      const bool quoted = ++at < text.size() && text[at] == '"';
      if (quoted) ++at;
      const size_t stop = std::min(text.find(quoted ? '"' : ' ', at), text.size());
      value = text.substr(at, stop - at);
      at = stop + (quoted ? 1 : 0);
    }
    out[name] = value;
  }
  return out;
}

bool digit(char c) { return c >= '0' && c <= '9'; }
bool hex(char c) { return digit(c) || (c >= 'a' && c <= 'f'); }

// How long a text of a form is at the beginning of `text`; 0: there is none. In a form `0` is a digit, `x` a
// hexadecimal one, `0+` and `x+` at least one, anything else itself.
size_t match(std::string_view form, std::string_view text) {
  size_t at = 0;
  for (size_t i = 0; i < form.size(); ++i) {
    const auto fits = [&](char c) {
      return form[i] == '0' ? digit(c) : form[i] == 'x' ? hex(c) : c == form[i];
    };
    if (at == text.size() || !fits(text[at])) return 0;
    ++at;
    if (i + 1 < form.size() && form[i + 1] == '+') {
      while (at < text.size() && fits(text[at])) ++at;
      ++i;
    }
  }
  return at;
}

struct Form {
  const char* name;
  std::vector<const char*> forms;
};

// The longest that fits counts.
const std::vector<Form>& forms() {
  static const std::vector<Form> all = {
      {"run", {"00000000-000000-xxxxxx"}},
      {"date", {"0000-00-00 00:00:00"}},
      {"clock", {"00:00:00"}},
      {"digest", {":xxxxxxxx…"}},
      {"memory", {"memory 0+ B", "memory 0+ KiB", "memory 0+ MiB", "memory 0+.0 KiB", "memory 0+.0 MiB"}},
      {"age", {"0+ s old", "0+ min old", "0+ h old", "0+ days old"}},
      {"duration", {"0+ms", "0+.0s", "0+.0+s", "0+s", "0+m00s", "0+h00m"}},
  };
  return all;
}

// The name of what is never the same twice at the beginning of a text, and its length.
std::pair<std::string_view, size_t> changing(std::string_view text, bool inside_word) {
  std::pair<std::string_view, size_t> out{"", 0};
  for (const Form& form : forms()) {
    // A number within a word is a part of it.
    if (inside_word && std::string_view(form.name) != "digest") continue;
    for (const char* one : form.forms) {
      if (const size_t size = match(one, text); size > out.second) out = {form.name, size};
    }
  }
  return out;
}

bool word_character(char c) {
  return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

// CPU time is told from a millisecond on: whether there is any differs from run to run.
std::string without_cpu(std::string line) {
  for (size_t at = 0; (at = line.find("CPU ", at)) != std::string::npos;) {
    const size_t end = line.find_first_of(",)", at);
    if (end == std::string::npos) break;
    line.erase(at, line[end] == ',' ? end + 2 - at : end - at);
  }
  return line;
}

}  // namespace

std::vector<Block> blocks_of(std::string_view page) {
  std::vector<Block> out;
  std::istringstream in{std::string(page)};
  std::string line, section;
  bool inside = false;
  for (int number = 1; std::getline(in, line); ++number) {
    if (inside) {
      inside = line != "```";
      if (inside) out.back().text += line + "\n";
    } else if (line.starts_with("```")) {
      Block block;
      const size_t end = std::min(line.find(' '), line.size());
      block.line = number + 1;
      block.language = line.substr(3, end - 3);
      block.words = words_of(std::string_view(line).substr(end));
      block.section = section;
      out.push_back(std::move(block));
      inside = true;
    } else if (line.starts_with("## ")) {
      section = line.substr(3);
    }
  }
  return out;
}

bool same_line(std::string_view page, std::string_view printed, std::map<std::string, std::string>& runs) {
  size_t a = 0, b = 0;
  while (a < page.size() && b < printed.size()) {
    const auto [what, size] = changing(page.substr(a), a > 0 && word_character(page[a - 1]));
    const auto [other, other_size] = changing(printed.substr(b), b > 0 && word_character(printed[b - 1]));
    if (size > 0 && what == other) {
      if (what == "run") {
        const std::string real(printed.substr(b, other_size));
        const auto [known, fresh] = runs.try_emplace(std::string(page.substr(a, size)), real);
        if (!fresh && known->second != real) return false;
      }
      a += size;
      b += other_size;
    } else if (page[a++] != printed[b++]) {
      return false;
    }
  }
  return a == page.size() && b == printed.size();
}

Examples::Examples(const fs::path& setting) {
  fs::copy(setting, project_.path(), fs::copy_options::recursive);
}

std::string Examples::check(const Block& block) {
  if (block.section != section_) {
    section_ = block.section;
    fs::remove_all(project_.path() / ".pangeo-forge");
  }
  if (const auto setup = block.words.find("setup"); setup != block.words.end()) {
    int code = 0;
    const std::string said = shell(setup->second, code);
    if (code != 0) return setup->second + ": exit code " + std::to_string(code) + "\n" + said;
  }
  if (block.language == "console") return console(block);
  const auto file = block.words.find("file");
  if (file == block.words.end()) return "what it is is not said: file=NAME behind its language";
  project_.write(file->second, block.text);
  std::vector<std::string> commands;
  if (block.language == "lua") {
    const auto hook = block.words.find("hook");
    if (hook == block.words.end()) return "which hook it is is not said: hook=STAGE";
    const auto permissions = block.words.find("permissions");
    project_.write("hook.yaml",
                   "p:\n  core: {hooks: {" + hook->second + ": {script: " + file->second +
                       (permissions == block.words.end() ? "" : ", permissions: " + permissions->second) +
                       "}}}\n  terraform: [{name: a}]\n");
    commands = {"pangeo-forge validate hook.yaml"};
  } else if (!block.words.contains("part")) {
    commands = {"pangeo-forge validate '" + file->second + "'"};
    if (block.words.contains("run")) commands.push_back("pangeo-forge run '" + file->second + "'");
  }
  for (const std::string& command : commands) {
    int code = 0;
    const std::string said = shell(command, code);
    if (code != 0) return command + ": exit code " + std::to_string(code) + "\n" + said;
  }
  return {};
}

// What it prints, stdout and stderr as they come.
std::string Examples::shell(const std::string& command, int& code) const {
  const fs::path bin = fs::path(program()).parent_path();
  Process::Options options;
  options.argv = {"/bin/sh", "-c", "exec 2>&1; " + command};
  options.folder = project_.path();
  options.environment = {{"PATH", bin.string() + ":/usr/bin:/bin"}, {"TZ", "UTC"}};
  const Output output = test::run(options);
  code = output.code;
  return output.out;
}

std::string Examples::console(const Block& block) {
  const auto lines = lines_of(block.text);
  for (size_t i = 0; i < lines.size();) {
    if (!lines[i].starts_with("$ "))
      return "line " + std::to_string(block.line + static_cast<int>(i)) + " follows no command";
    std::string command = lines[i].substr(2);
    for (const auto& [page, real] : runs_) {
      for (size_t at = 0; (at = command.find(page, at)) != std::string::npos; at += real.size())
        command.replace(at, page.size(), real);
    }
    std::vector<std::string> expected;
    for (++i; i < lines.size() && !lines[i].starts_with("$ "); ++i) expected.push_back(lines[i]);
    while (!expected.empty() && expected.back().empty()) expected.pop_back();
    int code = 0;
    const std::string said = shell(command, code);
    const auto wanted = block.words.find("exit");
    const bool last = i == lines.size();
    const int expected_code = last && wanted != block.words.end() ? std::stoi(wanted->second) : 0;
    if (code != expected_code) return command + ": exit code " + std::to_string(code) + "\n" + said;
    const auto printed = lines_of(said);
    // From each `…` on, the first place where what follows fits.
    size_t at = 0;
    bool anywhere = false;
    for (const std::string& line : expected) {
      if (line == "…") {
        anywhere = true;
        continue;
      }
      const auto fits = [&] { return same_line(without_cpu(line), without_cpu(printed[at]), runs_); };
      while (anywhere && at < printed.size() && !fits()) ++at;
      if (at == printed.size() || !fits()) {
        return command + ": the page has\n  " + line + "\nwhere it printed\n  " +
               (at < printed.size() ? printed[at] : "(nothing more)") + "\nin all\n" + said;
      }
      anywhere = false;
      ++at;
    }
    if (at != printed.size() && !anywhere)
      return command + ": it printed more than the page has, from\n  " + printed[at] + "\nin all\n" + said;
  }
  return {};
}

}  // namespace pf::test
