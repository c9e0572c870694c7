#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Argument kName[] = {{"name", T::string, false, "letters, digits and _"}};

constexpr Argument kSecret[] = {{"name", T::string, false, "as in `secrets`"}};
constexpr Argument kValue[] = {{"value", T::string, false, "at least 6 bytes"}};
constexpr std::string_view kErrors[] = {"secret.missing", "secret.short"};
constexpr std::string_view kMarkErrors[] = {"secret.short"};

constexpr Call kCalls[] = {
    {"env.get",
     Place::core,
     P::env,
     true,
     kName,
     {T::string, "its value; nil where it is not set"},
     {},
     "The value of an environment variable of pangeo-forge."},
    {"secret.get",
     Place::core,
     P::secrets,
     true,
     kSecret,
     {T::string, "its value"},
     kErrors,
     "The value of a secret, which is kept out of everything that people and files get to see."},
    {"secret.mark",
     Place::core,
     P::none,
     true,
     kValue,
     {},
     kMarkErrors,
     "Keeps a value out of everything that people and files get to see from now on."},
};

}  // namespace

std::span<const Call> env_calls() { return kCalls; }

}  // namespace pf::registry
