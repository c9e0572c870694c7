#include "vm/time_text.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <span>

#include "base/text.h"

namespace pf::vm {
namespace {

using std::chrono::sys_days;

constexpr int64_t kMicro = 1'000'000;
constexpr int64_t kFirst = -62'167'219'200;  // 0000-01-01T00:00:00Z
constexpr int64_t kLast = 253'402'300'799;   // 9999-12-31T23:59:59Z
constexpr std::string_view kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};

/// A time taken apart.
struct Fields {
  int year;
  unsigned month, day, weekday, day_of_year;
  int hour, minute, second, micro;
  int64_t epoch;  // whole seconds
};

Fields take_apart(int64_t epoch, int micro) {
  const auto days =
      std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds(std::chrono::seconds(epoch)));
  const std::chrono::year_month_day date(days);
  const auto rest = static_cast<int>(epoch - std::chrono::seconds(days.time_since_epoch()).count());
  const auto first = sys_days(date.year() / 1 / 1);
  return {int(date.year()),
          unsigned(date.month()),
          unsigned(date.day()),
          std::chrono::weekday(days).c_encoding(),
          static_cast<unsigned>((days - first).count()) + 1,
          rest / 3600,
          rest / 60 % 60,
          rest % 60,
          micro,
          epoch};
}

void number(std::string& out, int64_t value, int width, char fill = '0') {
  const std::string digits = std::to_string(value);
  for (int i = static_cast<int>(digits.size()); i < width; ++i) out += fill;
  out += digits;
}

void date(std::string& out, const Fields& f) {
  number(out, f.year, 4);
  out += '-';
  number(out, f.month, 2);
  out += '-';
  number(out, f.day, 2);
}

void time_of_day(std::string& out, const Fields& f) {
  number(out, f.hour, 2);
  out += ':';
  number(out, f.minute, 2);
  out += ':';
  number(out, f.second, 2);
}

bool directive(std::string& out, char c, const Fields& f) {
  switch (c) {
    case 'Y': number(out, f.year, 4); return true;
    case 'm': number(out, f.month, 2); return true;
    case 'd': number(out, f.day, 2); return true;
    case 'e': number(out, f.day, 2, ' '); return true;
    case 'j': number(out, f.day_of_year, 3); return true;
    case 'H': number(out, f.hour, 2); return true;
    case 'I': number(out, (f.hour + 11) % 12 + 1, 2); return true;
    case 'M': number(out, f.minute, 2); return true;
    case 'S': number(out, f.second, 2); return true;
    case 'p': out += f.hour < 12 ? "AM" : "PM"; return true;
    case 'f': number(out, f.micro, 6); return true;
    case 'a': out += kDays[f.weekday].substr(0, 3); return true;
    case 'A': out += kDays[f.weekday]; return true;
    case 'u': number(out, (f.weekday + 6) % 7 + 1, 1); return true;
    case 'b': out += kMonths[f.month - 1].substr(0, 3); return true;
    case 'B': out += kMonths[f.month - 1]; return true;
    case 'F': date(out, f); return true;
    case 'T': time_of_day(out, f); return true;
    case 's': out += std::to_string(f.epoch); return true;
    case 'z': out += "+0000"; return true;
    case 'Z': out += "UTC"; return true;
    case '%': out += '%'; return true;
    default: return false;
  }
}

std::string rfc3339_text(const Fields& f) {
  std::string out;
  date(out, f);
  out += 'T';
  time_of_day(out, f);
  if (f.micro != 0) {
    out += '.';
    if (f.micro % 1000 == 0)
      number(out, f.micro / 1000, 3);
    else
      number(out, f.micro, 6);
  }
  return out + 'Z';
}

/// Reads a text from left to right; the first thing that does not fit is what the error says.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool ok() const { return expected_.empty(); }
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }

  int digits(size_t count) {
    int value = 0;
    for (size_t i = 0; i < count; ++i) {
      const char c = peek();
      if (c < '0' || c > '9') {
        expect("a digit");
        return 0;
      }
      value = value * 10 + (c - '0');
      take();
    }
    return value;
  }
  void literal(char c) {
    if (peek() != c)
      expect(std::string("`") + c + "`");
    else
      take();
  }
  void any_of(std::string_view choices) {
    if (at_end() || choices.find(peek()) == std::string_view::npos)
      expect("one of `" + std::string(choices) + "`");
    else
      take();
  }
  /// The index of the name (its first three letters) that stands here.
  unsigned name(std::span<const std::string_view> names, std::string_view what) {
    for (unsigned i = 0; i < names.size(); ++i) {
      if (text_.substr(at_, 3) == names[i].substr(0, 3)) {
        at_ += 3;
        return i;
      }
    }
    expect(what);
    return 0;
  }
  void word(std::string_view w) {
    if (text_.substr(at_, w.size()) == w)
      at_ += w.size();
    else
      expect("`" + std::string(w) + "`");
  }
  double fraction() {
    const size_t start = at_;
    while (peek() >= '0' && peek() <= '9') take();
    if (at_ == start) expect("a digit");
    double value = 0;
    for (size_t i = at_; i > start; --i) value = (value + (text_[i - 1] - '0')) / 10;
    return value;
  }
  void end() {
    if (!at_end()) expect("the end");
  }
  void expect(std::string_view what) {
    if (ok()) expected_ = what;
  }
  tl::unexpected<Error> error() const {
    return refuse(
        "time.syntax",
        "not a time: '" + shorten(text_, 60) + "' at byte " + std::to_string(at_) + ": expected " + expected_,
        "write 2026-11-21T10:12:05Z, 2026-11-21T10:12:05.5+01:00, 2026-11-21, or "
        "Sat, 21 Nov 2026 10:12:05 GMT");
  }

 private:
  void take() {
    if (ok()) ++at_;
  }
  std::string_view text_;
  size_t at_ = 0;
  std::string expected_;
};

struct Parsed {
  int year = 0;
  int month = 1;
  int day = 1;
  int hour = 0;
  int minute = 0;
  int second = 0;
  double fraction = 0;
  int offset = 0;  // minutes
  bool offset_fits = true;
};

Result<double> put_together(std::string_view text, const Parsed& p) {
  const auto out_of_range = [&](const char* what) {
    return refuse("time.range", "not a time: '" + shorten(text, 60) + "': there is no such " + what,
                  "check month, day, hour, minute and second");
  };
  const auto date = std::chrono::year(p.year) / p.month / p.day;
  if (!date.ok()) return out_of_range("day");
  if (p.hour > 23 || p.minute > 59 || p.second > 60) return out_of_range("time of day");
  if (!p.offset_fits) return out_of_range("zone");
  const int64_t day = std::chrono::seconds(sys_days(date).time_since_epoch()).count();
  const int64_t seconds = day + p.hour * 3600 + p.minute * 60 + p.second - p.offset * 60;
  // A leap second comes at the end of a UTC day only, and is counted as the next day's first.
  if (p.second == 60 && seconds % 86400 != 0) return out_of_range("time of day");
  return static_cast<double>(seconds) + p.fraction;
}

Result<double> parse_http_date(std::string_view text) {
  Scanner in(text);
  Parsed p;
  in.name(kDays, "a digit, or the name of a day");
  in.word(", ");
  p.day = in.digits(2);
  in.literal(' ');
  p.month = static_cast<int>(in.name(kMonths, "the name of a month")) + 1;
  in.literal(' ');
  p.year = in.digits(4);
  in.literal(' ');
  p.hour = in.digits(2);
  in.literal(':');
  p.minute = in.digits(2);
  in.literal(':');
  p.second = in.digits(2);
  in.word(" GMT");
  in.end();
  return in.ok() ? put_together(text, p) : Result<double>(in.error());
}

void parse_zone(Scanner& in, Parsed& p) {
  const char sign = in.peek();
  if (sign != '+' && sign != '-') return in.any_of("Zz+-");
  in.literal(sign);
  const int hours = in.digits(2);
  if (in.peek() == ':') in.literal(':');
  const int minutes = in.digits(2);
  p.offset_fits = hours < 24 && minutes < 60;
  p.offset = (hours * 60 + minutes) * (sign == '-' ? -1 : 1);
}

}  // namespace

Result<std::string> format_time(double seconds, std::string_view format) {
  if (!(seconds >= static_cast<double>(kFirst)) || !(seconds < static_cast<double>(kLast) + 1)) {
    return refuse("time.range",
                  "no time of the years 0 to 9999: " + std::to_string(seconds) + " seconds since 1970",
                  "give seconds; milliseconds have to be divided by 1000");
  }
  const auto total = static_cast<int64_t>(std::floor(seconds * kMicro + 0.5));
  const int64_t epoch = std::min((total - ((total % kMicro) + kMicro) % kMicro) / kMicro, kLast);
  const Fields fields = take_apart(epoch, static_cast<int>(((total % kMicro) + kMicro) % kMicro));
  if (format.empty()) return rfc3339_text(fields);
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    if (++i == format.size() || !directive(out, format[i], fields)) {
      return refuse(
          "time.directive",
          "no directive: `" + std::string(format.substr(i - 1, 2)) + "` at byte " + std::to_string(i - 1),
          "there are %Y %m %d %e %j %H %I %M %S %p %f %a %A %u %b %B %F %T %s %z %Z %%");
    }
  }
  return out;
}

Result<double> parse_time(std::string_view text) {
  if (!text.empty() && (text.front() < '0' || text.front() > '9')) return parse_http_date(text);
  Scanner in(text);
  Parsed p;
  p.year = in.digits(4);
  in.literal('-');
  p.month = in.digits(2);
  in.literal('-');
  p.day = in.digits(2);
  if (!in.ok()) return in.error();
  if (in.at_end()) return put_together(text, p);
  in.any_of("Tt ");
  p.hour = in.digits(2);
  in.literal(':');
  p.minute = in.digits(2);
  if (in.peek() == ':') {
    in.literal(':');
    p.second = in.digits(2);
    if (in.peek() == '.') {
      in.literal('.');
      p.fraction = in.fraction();
    }
  }
  if (in.ok()) parse_zone(in, p);
  in.end();
  return in.ok() ? put_together(text, p) : Result<double>(in.error());
}

}  // namespace pf::vm
