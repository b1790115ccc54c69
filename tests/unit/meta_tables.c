/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/meta_tables.h"

#include <lmdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"

/* flags: 0 to write, MDB_RDONLY */
static MDB_txn *begin(const char *root, unsigned flags)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    owned(mem_free) char *path = mem_printf("%s/meta", root);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 1), 0);
    assert_int_equal(mdb_env_open(env, path, flags, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, flags, &txn), 0);
    return txn;
}

size_t meta_tables_count(const char *root)
{
    MDB_dbi names;
    MDB_stat stat;
    MDB_txn *txn = begin(root, MDB_RDONLY);
    MDB_env *env = mdb_txn_env(txn);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &names), 0);
    assert_int_equal(mdb_stat(txn, names, &stat), 0);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return stat.ms_entries;
}

void meta_tables_drop(const char *root, const char *name, unsigned flags)
{
    MDB_dbi table;
    MDB_txn *txn = begin(root, 0);
    MDB_env *env = mdb_txn_env(txn);
    assert_int_equal(mdb_dbi_open(txn, name, flags, &table), 0);
    assert_int_equal(mdb_drop(txn, table, 1), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}
