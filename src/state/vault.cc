#include "state/vault.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/aead.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "state/layout.h"

namespace pf::state {
namespace {

namespace fs = std::filesystem;

constexpr char kVersion = 1;
constexpr size_t kSalt = 16;
constexpr uint64_t kMostMemory = uint64_t{256} << 20;
constexpr uint64_t kMostContent = 64 << 10;
// What the check value is sealed for: no address, since it has no dot.
constexpr std::string_view kCheckAddress = "check";
constexpr std::string_view kCheckText = "pangeo-forge vault";

const uint8_t* bytes(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

// The version and the address: neither can be exchanged for another.
std::string associated(std::string_view address) {
  std::string out = "pangeo-forge sealed ";
  out += static_cast<char>('0' + kVersion);
  out += '\0';
  return out.append(address);
}

tl::unexpected<Error> no_vault(const fs::path& file, std::string_view what) {
  return refuse(
      "state.vault", "cannot use " + file.string() + ": " + std::string(what),
      "restore it from a backup; without it the secret outputs of this state folder cannot be read: "
      "moved away, the next run makes a new one and what it needs again",
      {file.string(), 0, 0, {}});
}

tl::unexpected<Error> not_sealed(std::string_view address) {
  return refuse("state.vault",
                "the secret outputs of " + std::string(address) + " were not sealed by this vault",
                "they were changed, or vault.json was exchanged: run the instance again with --force");
}

tl::unexpected<Error> failed() {
  return refuse("state.vault", "OpenSSL cannot encrypt with AES-256-GCM",
                "check the configuration of OpenSSL on this machine");
}

tl::unexpected<Error> wrong_passphrase(std::string message) {
  return refuse("state.passphrase", std::move(message),
                "set PANGEO_FORGE_PASSPHRASE (or what core.secrets.passphrase names) to the passphrase that "
                "the state folder was first used with");
}

bool derive(std::string_view passphrase, std::string_view salt, const Vault::Cost& cost,
            std::array<uint8_t, 32>& key) {
  // OpenSSL's own bound is 32 MiB and a little less than n = 2^15 needs.
  return EVP_PBE_scrypt(passphrase.data(), passphrase.size(), bytes(salt), salt.size(), cost.n, cost.r,
                        cost.p, kMostMemory + (1 << 20), key.data(), key.size()) == 1;
}

bool is_affordable(const Vault::Cost& cost) {
  return cost.n >= 2 && (cost.n & (cost.n - 1)) == 0 && cost.r >= 1 && cost.p >= 1 && cost.p <= 16 &&
         cost.r <= 64 && cost.n <= kMostMemory / 128 / cost.r;
}

}  // namespace

Vault::Vault(Vault&& other) noexcept : key_(other.key_) {
  OPENSSL_cleanse(other.key_.data(), other.key_.size());
}

Vault& Vault::operator=(Vault&& other) noexcept {
  if (this != &other) {
    key_ = other.key_;
    OPENSSL_cleanse(other.key_.data(), other.key_.size());
  }
  return *this;
}

Vault::~Vault() { OPENSSL_cleanse(key_.data(), key_.size()); }

Result<std::string> Vault::seal(std::string_view address, std::string_view plain) const {
  const auto sealed = aead_seal(key_, associated(address), plain);
  if (!sealed) return failed();
  return kVersion + *sealed;
}

Result<std::string> Vault::unseal(std::string_view address, std::string_view sealed) const {
  if (sealed.empty() || sealed[0] != kVersion) return not_sealed(address);
  auto plain = aead_open(key_, associated(address), sealed.substr(1));
  if (!plain) return not_sealed(address);
  return std::move(*plain);
}

Result<Vault> Vault::open(const fs::path& state_folder, std::string_view passphrase) {
  return open(state_folder, passphrase, Cost());
}

Result<Vault> Vault::open(const fs::path& state_folder, std::string_view passphrase, const Cost& cost) {
  const fs::path file = Layout(state_folder).vault();
  if (passphrase.empty()) return wrong_passphrase("the passphrase for secret outputs is empty");
  if (::access(file.c_str(), F_OK) != 0 && errno == ENOENT) return make(file, passphrase, cost);
  return read(file, passphrase);
}

Result<Vault> Vault::open_existing(const fs::path& state_folder, std::string_view passphrase) {
  const fs::path file = Layout(state_folder).vault();
  if (passphrase.empty()) return wrong_passphrase("the passphrase for secret outputs is empty");
  if (::access(file.c_str(), F_OK) != 0 && errno == ENOENT) return no_vault(file, "it is not there");
  return read(file, passphrase);
}

Result<Vault> Vault::make(const fs::path& file, std::string_view passphrase, const Cost& cost) {
  std::string salt(kSalt, '\0');
  Vault out;
  if (!is_affordable(cost) || RAND_bytes(reinterpret_cast<uint8_t*>(salt.data()), kSalt) != 1 ||
      !derive(passphrase, salt, cost, out.key_)) {
    return no_vault(file, "OpenSSL cannot derive a key with scrypt");
  }
  auto check = out.seal(kCheckAddress, kCheckText);
  if (!check) return tl::unexpected(check.error());
  const Json content = {{"version", static_cast<int>(kVersion)},
                        {"kdf", "scrypt"},
                        {"n", cost.n},
                        {"r", cost.r},
                        {"p", cost.p},
                        {"salt", base64_encode(salt)},
                        {"check", base64_encode(*check)}};
  // The secrets that are sealed from now on are lost without it: so it is on disk before any of them.
  if (auto written = write_file(file, to_json_text(content) + "\n", true, 0600); !written) {
    return tl::unexpected(folder_error("cannot write", file, errno != 0 ? errno : EIO));
  }
  return out;
}

Result<Vault> Vault::read(const fs::path& file, std::string_view passphrase) {
  auto text = read_file(file, kMostContent);
  if (!text) return tl::unexpected(text.error());
  const auto content = parse_json(*text);
  if (!content || !content->is_object()) return no_vault(file, "it holds no JSON object");
  const auto number = [&](const char* key) -> uint64_t {
    const auto found = content->find(key);
    return found != content->end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
  };
  const auto binary = [&](const char* key) -> std::string {
    const auto found = content->find(key);
    if (found == content->end() || !found->is_string()) return {};
    auto decoded = base64_decode(found->get_ref<const std::string&>());
    return decoded ? std::move(*decoded) : std::string();
  };
  if (number("version") > static_cast<uint64_t>(kVersion)) {
    return refuse("state.newer", file.string() + " was written by a newer pangeo-forge",
                  "use that version, or give this one a state folder of its own with --state-dir DIR");
  }
  const auto kdf = content->find("kdf");
  Cost cost;
  cost.n = number("n");
  cost.r = static_cast<uint32_t>(std::min<uint64_t>(number("r"), UINT32_MAX));
  cost.p = static_cast<uint32_t>(std::min<uint64_t>(number("p"), UINT32_MAX));
  const std::string salt = binary("salt");
  const std::string check = binary("check");
  if (number("version") != static_cast<uint64_t>(kVersion) || kdf == content->end() || *kdf != "scrypt" ||
      salt.size() != kSalt || check.empty() || !is_affordable(cost)) {
    return no_vault(file, "it is not what this program writes");
  }
  Vault out;
  if (!derive(passphrase, salt, cost, out.key_)) {
    return no_vault(file, "OpenSSL cannot derive a key with scrypt");
  }
  auto checked = out.unseal(kCheckAddress, check);
  if (!checked || *checked != kCheckText) {
    return wrong_passphrase("the passphrase is not the one of " + file.string());
  }
  return out;
}

Result<std::string> passphrase_of_environment() {
  for (const char* name : {"PANGEO_FORGE_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE"}) {
    const char* set = std::getenv(name);
    if (set != nullptr && *set != '\0') return std::string(set);
  }
  const char* file = std::getenv("PULUMI_CONFIG_PASSPHRASE_FILE");
  if (file == nullptr || *file == '\0') return std::string();
  auto text = read_file(file, kMostContent);
  if (!text) return text;
  if (!text->empty() && text->back() == '\n') text->pop_back();
  if (!text->empty() && text->back() == '\r') text->pop_back();
  return text;
}

}  // namespace pf::state
