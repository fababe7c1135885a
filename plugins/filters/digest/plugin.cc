// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/plugin.hpp"

#include "plugins/filters/digest/digest.hpp"

using instar::digest::DigestOf;
using instar::sdk::digest;

INSTAR_PLUGIN("digest", "1.0.0", digest<DigestOf<GCRY_MD_SHA256>>("sha256"),
              digest<DigestOf<GCRY_MD_SHA224>>("sha224"),
              digest<DigestOf<GCRY_MD_SHA384>>("sha384"),
              digest<DigestOf<GCRY_MD_SHA512>>("sha512"),
              digest<DigestOf<GCRY_MD_SHA3_256>>("sha3-256"),
              digest<DigestOf<GCRY_MD_SHA3_512>>("sha3-512"),
              digest<DigestOf<GCRY_MD_BLAKE2B_256>>("blake2b-256"),
              digest<DigestOf<GCRY_MD_BLAKE2B_512>>("blake2b-512"),
              digest<DigestOf<GCRY_MD_BLAKE2S_256>>("blake2s-256"),
              digest<DigestOf<GCRY_MD_SHA1>>("sha1"), digest<DigestOf<GCRY_MD_SM3>>("sm3"),
              digest<DigestOf<GCRY_MD_MD5>>("md5"))
