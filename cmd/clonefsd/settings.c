/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/clonefsd/settings.h"

#include <ctype.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/config.h"
#include "base/mem.h"

void setting_text(char **out, const char *value)
{
    mem_free(out);
    *out = mem_strdup(value);
}

int setting_log_level(struct options *options, const char *value, struct error *error)
{
    if (log_level_parse(value, &options->log_level))
        return 0;
    return error_set(error, ERROR_INVALID,
                     "\"%s\" is no log level: choose error, warn, info or debug", value);
}

static int set_view(struct options *options, const char *value, struct error *error)
{
    if (strcmp(value, "readonly-bind") == 0)
        options->snapshots.view = SNAPSHOT_VIEW_READONLY_BIND;
    else if (strcmp(value, "private-clone") == 0)
        options->snapshots.view = SNAPSHOT_VIEW_PRIVATE_CLONE;
    else
        return error_set(error, ERROR_INVALID,
                         "\"%s\" is no kind of view: choose readonly-bind or private-clone", value);
    return 0;
}

static int check_type(const struct config_value *value, enum config_type type, const char *key,
                      struct error *error)
{
    if (value->type == type)
        return 0;
    return error_set(error, ERROR_INVALID, "%s must be a %s", key,
                     type == CONFIG_STRING    ? "\"string\""
                     : type == CONFIG_INTEGER ? "number"
                                              : "boolean: true or false");
}

static int set_switch(bool *out_off, const struct config_value *value, const char *key,
                      struct error *error)
{
    int rc = check_type(value, CONFIG_STRING, key, error);
    if (rc != 0)
        return rc;
    bool off = strcmp(value->string, "off") == 0;
    if (!off && strcmp(value->string, "auto") != 0)
        return error_set(error, ERROR_INVALID, "%s = \"%s\" is not known: choose auto or off", key,
                         value->string);
    *out_off = off;
    return 0;
}

static int set_number(unsigned *out, const struct config_value *value, const char *key,
                      unsigned scale, struct error *error)
{
    int rc = check_type(value, CONFIG_INTEGER, key, error);
    if (rc != 0)
        return rc;
    if (value->integer < 1 || value->integer > 86400)
        return error_set(error, ERROR_INVALID, "%s must be from 1 to 86400", key);
    *out = (unsigned) value->integer * scale;
    return 0;
}

static int set_boolean(bool *out, const struct config_value *value, const char *key,
                       struct error *error)
{
    int rc = check_type(value, CONFIG_BOOLEAN, key, error);
    if (rc == 0)
        *out = value->boolean;
    return rc;
}

static int set_top(struct options *options, const char *key, const struct config_value *value,
                   struct error *error)
{
    if (strcmp(key, "allow_case_insensitive") == 0)
        return set_boolean(&options->allow_case_insensitive, value, key, error);
    bool known =
        strcmp(key, "root") == 0 || strcmp(key, "address") == 0 || strcmp(key, "log_level") == 0;
    int rc = known ? check_type(value, CONFIG_STRING, key, error) : 0;
    if (rc != 0)
        return rc;
    if (strcmp(key, "root") == 0)
        setting_text(&options->root, value->string);
    else if (strcmp(key, "address") == 0)
        setting_text(&options->address, value->string);
    else if (strcmp(key, "log_level") == 0)
        return setting_log_level(options, value->string, error);
    else
        return error_set(error, ERROR_INVALID,
                         "unknown key %s: the keys here are root, address, log_level and "
                         "allow_case_insensitive",
                         key);
    return 0;
}

static int set_snapshots(struct options *options, const char *key, const struct config_value *value,
                         struct error *error)
{
    struct snapshotter_options *snapshots = &options->snapshots;
    if (strcmp(key, "view") == 0) {
        int rc = check_type(value, CONFIG_STRING, key, error);
        return rc == 0 ? set_view(options, value->string, error) : rc;
    }
    if (strcmp(key, "pool") == 0)
        return set_switch(&snapshots->pool_off, value, key, error);
    if (strcmp(key, "layers") == 0)
        return set_switch(&snapshots->layers_off, value, key, error);
    if (strcmp(key, "clone_threads") == 0)
        return set_number(&snapshots->clone_threads, value, key, 1, error);
    if (strcmp(key, "usage_refresh_seconds") == 0)
        return set_number(&snapshots->usage_refresh_ms, value, key, 1000, error);
    if (strcmp(key, "flush_delay_seconds") == 0)
        return set_number(&snapshots->flush_delay_ms, value, key, 1000, error);
    return error_set(error, ERROR_INVALID,
                     "unknown key %s: the keys of [snapshots] are view, layers, pool, "
                     "clone_threads, usage_refresh_seconds and flush_delay_seconds",
                     key);
}

/* The scrub's pace: 0 switches it off. */
static int set_scrub_rate(struct content_options *content, const struct config_value *value,
                          const char *key, struct error *error)
{
    int rc = check_type(value, CONFIG_INTEGER, key, error);
    if (rc != 0)
        return rc;
    if (value->integer < 0 || value->integer > 65536)
        return error_set(error, ERROR_INVALID, "%s must be from 0 to 65536", key);
    content->scrub_bytes_per_second = (uint64_t) value->integer << 20;
    return 0;
}

static int set_content(struct options *options, const char *key, const struct config_value *value,
                       struct error *error)
{
    if (strcmp(key, "scrub_mib_per_second") == 0)
        return set_scrub_rate(&options->content, value, key, error);
    if (strcmp(key, "scrub_days") == 0)
        return set_number(&options->content.scrub_days, value, key, 1, error);
    return error_set(error, ERROR_INVALID,
                     "unknown key %s: the keys of [content] are scrub_mib_per_second and "
                     "scrub_days",
                     key);
}

/* A limit: 0 = none. */
static int set_limit(uint64_t *out, const struct config_value *value, const char *key,
                     uint64_t maximum, struct error *error)
{
    int rc = check_type(value, CONFIG_INTEGER, key, error);
    if (rc != 0)
        return rc;
    if (value->integer < 0 || (uint64_t) value->integer > maximum)
        return error_set(error, ERROR_INVALID, "%s must be from 0 (no limit) to %llu", key,
                         (unsigned long long) maximum);
    *out = (uint64_t) value->integer;
    return 0;
}

static int set_small_limit(unsigned *out, const struct config_value *value, const char *key,
                           struct error *error)
{
    uint64_t limit = 0;
    int rc = set_limit(&limit, value, key, UINT32_MAX, error);
    if (rc == 0)
        *out = (unsigned) limit;
    return rc;
}

/* A setting that is one of two words; *out is true for the second. */
static int set_choice(bool *out, const struct config_value *value, const char *key,
                      const char *first, const char *second, struct error *error)
{
    int rc = check_type(value, CONFIG_STRING, key, error);
    if (rc != 0)
        return rc;
    if (strcmp(value->string, first) != 0 && strcmp(value->string, second) != 0)
        return error_set(error, ERROR_INVALID, "%s must be \"%s\" or \"%s\", not \"%s\"", key,
                         first, second, value->string);
    *out = strcmp(value->string, second) == 0;
    return 0;
}

static int set_appledouble(struct differ_options *diff, const struct config_value *value,
                           const char *key, struct error *error)
{
    bool apply = false;
    int rc = set_choice(&apply, value, key, "file", "apply", error);
    if (rc == 0)
        diff->appledouble = apply ? LAYER_APPLEDOUBLE_APPLY : LAYER_APPLEDOUBLE_FILE;
    return rc;
}

static int set_diff(struct options *options, const char *key, const struct config_value *value,
                    struct error *error)
{
    struct differ_options *diff = &options->diff;
    struct layer_limits *limits = &diff->limits;
    if (strcmp(key, "durability") == 0)
        return set_choice(&diff->durable, value, key, "off", "full", error);
    if (strcmp(key, "differ") == 0)
        return set_choice(&diff->diff_declined, value, key, "own", "walking", error);
    if (strcmp(key, "appledouble") == 0)
        return set_appledouble(diff, value, key, error);
    if (strcmp(key, "file_flags") == 0)
        return set_boolean(&diff->file_flags, value, key, error);
    if (strcmp(key, "name_collisions") == 0)
        return set_choice(&diff->names.allowed, value, key, "refuse", "allow", error);
    if (strcmp(key, "max_bytes") == 0)
        return set_limit(&limits->bytes, value, key, INT64_MAX, error);
    if (strcmp(key, "max_entries") == 0)
        return set_limit(&limits->entries, value, key, INT64_MAX, error);
    if (strcmp(key, "max_header_bytes") == 0)
        return set_limit(&limits->header_bytes, value, key, INT64_MAX, error);
    if (strcmp(key, "max_xattr_bytes") == 0)
        return set_limit(&limits->xattr_bytes, value, key, INT64_MAX, error);
    if (strcmp(key, "max_depth") == 0)
        return set_small_limit(&limits->path_depth, value, key, error);
    if (strcmp(key, "max_ratio") == 0)
        return set_small_limit(&limits->ratio, value, key, error);
    return error_set(error, ERROR_INVALID,
                     "unknown key %s: the keys of [diff] are durability, differ, appledouble, "
                     "file_flags, name_collisions, max_bytes, max_entries, max_depth, max_ratio, "
                     "max_header_bytes and max_xattr_bytes",
                     key);
}

/* The containerd of that snapshotter name (NULL: of all others); made if it is new. */
static struct differ_containerd *find_containerd(struct options *options, const char *snapshotter)
{
    for (size_t i = 0; i < options->containerd_count; i++) {
        const char *name = options->containerds[i].snapshotter;
        if (snapshotter == name || (snapshotter && name && strcmp(snapshotter, name) == 0))
            return &options->containerds[i];
    }
    options->containerds = mem_resize(options->containerds, options->containerd_count + 1,
                                      sizeof *options->containerds);
    struct differ_containerd *containerd = &options->containerds[options->containerd_count++];
    *containerd =
        (struct differ_containerd){.snapshotter = snapshotter ? mem_strdup(snapshotter) : NULL};
    return containerd;
}

/* containerd's identifiers: at most 76 letters, digits, and single ._- between them. */
static bool is_namespace(const char *name)
{
    size_t length = strlen(name);
    bool between = true;
    for (size_t i = 0; i < length; i++) {
        bool sign = strchr("._-", name[i]) != NULL;
        if (sign ? between : !isalnum((unsigned char) name[i]))
            return false;
        between = sign;
    }
    return length <= 76 && !between;
}

static int set_containerd(struct options *options, const char *snapshotter, const char *key,
                          const struct config_value *value, struct error *error)
{
    bool address = strcmp(key, "address") == 0;
    if (!address && strcmp(key, "namespace") != 0)
        return error_set(error, ERROR_INVALID,
                         "unknown key %s: the keys of [containerd] are address and namespace", key);
    int rc = check_type(value, CONFIG_STRING, key, error);
    if (rc != 0)
        return rc;
    if (address && value->string[0] != '/')
        return error_set(error, ERROR_INVALID,
                         "address must be the absolute path of containerd's socket, not \"%s\"",
                         value->string);
    if (!address && !is_namespace(value->string))
        return error_set(error, ERROR_INVALID, "\"%s\" is no name of a containerd namespace",
                         value->string);
    struct differ_containerd *containerd = find_containerd(options, snapshotter);
    setting_text(address ? &containerd->address : &containerd->namespace_name, value->string);
    return 0;
}

static const char containerd_prefix[] = "containerd.";

static int set_from_file(void *context, const char *section, const char *key,
                         const struct config_value *value, struct error *error)
{
    struct options *options = context;
    if (section[0] == '\0')
        return set_top(options, key, value, error);
    if (strcmp(section, "snapshots") == 0)
        return set_snapshots(options, key, value, error);
    if (strcmp(section, "content") == 0)
        return set_content(options, key, value, error);
    if (strcmp(section, "diff") == 0)
        return set_diff(options, key, value, error);
    if (strcmp(section, "containerd") == 0)
        return set_containerd(options, NULL, key, value, error);
    if (strncmp(section, containerd_prefix, sizeof containerd_prefix - 1) == 0)
        return set_containerd(options, section + sizeof containerd_prefix - 1, key, value, error);
    return error_set(error, ERROR_INVALID,
                     "unknown section [%s]: there are [snapshots], [content], [diff], [containerd] "
                     "and [containerd.SNAPSHOTTER]",
                     section);
}

int settings_load(const char *path, struct options *options, struct error *error)
{
    return config_load(path, set_from_file, options, error);
}
