package org.splitring.driverdomain.nbd;

/// What LIST_META_CONTEXT or SET_META_CONTEXT asks for. The one context that there is is
/// [#ALLOCATION]; queries for other namespaces and names find nothing, which is no error.
///
/// @param export by its name
/// @param named whether a query names the context
/// @param wildcard whether a query asks for all contexts of its namespace, or there is none
record MetaContextQuery(String export, boolean named, boolean wildcard) {
    static final String ALLOCATION = "base:allocation";

    /// What the server calls it in replies.
    static final int NUMBER = 1;

    private static final String NAMESPACE = "base:";

    static MetaContextQuery read(OptionData data) throws BadOption {
        String export = data.string("name");
        long queries = data.unsignedInt("number of queries");
        boolean named = false;
        boolean wildcard = queries == 0;
        for (long i = 0; i < queries; i++) { // each takes four bytes at least
            String query = data.query();
            if (query.indexOf(':') < 1) {
                throw BadOption.invalid("query has no namespace");
            }
            named |= query.equals(ALLOCATION);
            wildcard |= query.equals(NAMESPACE);
        }
        data.checkEmpty();
        return new MetaContextQuery(export, named, wildcard);
    }
}
