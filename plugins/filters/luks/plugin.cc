// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/plugin.hpp"

#include "plugins/filters/luks/legacy_aes.hpp"
#include "plugins/filters/luks/luks.hpp"
#include "plugins/filters/luks/luks2.hpp"
#include "plugins/filters/luks/secret_cipher.hpp"

INSTAR_PLUGIN("encryption-luks", "1.0.0", instar::sdk::encryption<instar::luks::Luks>("luks"),
              instar::sdk::encryption<instar::luks::Luks2>("luks2"),
              instar::sdk::encryption<instar::luks::LegacyAes>("aes"),
              instar::sdk::encryption<instar::luks::SecretCipher>("secret"))
