package org.splitring.driverdomain;

import java.util.ArrayList;
import java.util.List;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// The names of the guests that are attached now.
record DomainNames(Store store) {
    private static final String DOMAINS = "/local/domain";

    /// The domain of a guest that is attached now.
    DomId domain(String name) throws CommandException, StoreException {
        List<String> names = new ArrayList<>();
        for (String domid : store.list(DOMAINS)) {
            String found = store.read(DOMAINS + "/" + domid + "/name").orElse("");
            if (found.equals(name) && domid.matches("[0-9]{1,5}")) {
                return new DomId(Integer.parseInt(domid));
            }
            if (!found.isEmpty()) {
                names.add(found);
            }
        }
        throw new CommandException(
                "no domain \"" + name + "\" runs; there are " + String.join(", ", names));
    }

    /// What a domain is called; its number when it is not attached.
    String name(DomId domain) throws StoreException {
        return store.read(DOMAINS + "/" + domain + "/name").orElse(domain.toString());
    }
}
