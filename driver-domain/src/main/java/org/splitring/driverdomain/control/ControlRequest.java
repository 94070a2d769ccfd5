package org.splitring.driverdomain.control;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeSet;
import tools.jackson.databind.JsonNode;

/// One request, as a handler sees it: sizes and form are checked already.
///
/// @param names what stood in the places of the path that a template leaves open
/// @param query what stood behind the `?`, each key once
/// @param body an object of JSON; one without keys when there was none
public record ControlRequest(Map<String, String> names, Map<String, String> query, JsonNode body) {
    /// What stood in an open place of the path.
    public String name(String place) {
        String value = names.get(place);
        if (value == null) {
            throw new IllegalArgumentException("the path has no place " + place);
        }
        return value;
    }

    /// A text of the body.
    public Optional<String> text(String key) throws ControlException {
        JsonNode value = body.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return Optional.empty();
        }
        if (!value.isString()) {
            throw ControlException.badRequest("\"" + key + "\" is " + value + ", not a string");
        }
        return Optional.of(value.stringValue());
    }

    /// A text of the body that must be there.
    public String needed(String key) throws ControlException {
        return text(key)
                .orElseThrow(() -> ControlException.badRequest("\"" + key + "\" is missing"));
    }

    /// A whole number of the body.
    public OptionalLong number(String key) throws ControlException {
        JsonNode value = body.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return OptionalLong.empty();
        }
        if (!value.isIntegralNumber() || !value.canConvertToLong()) {
            throw ControlException.badRequest(
                    "\"" + key + "\" is " + value + ", not a whole number");
        }
        return OptionalLong.of(value.longValue());
    }

    /// `true` or `false` of the body.
    public Optional<Boolean> flag(String key) throws ControlException {
        JsonNode value = body.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return Optional.empty();
        }
        if (!value.isBoolean()) {
            throw ControlException.badRequest(
                    "\"" + key + "\" is " + value + ", neither true nor false");
        }
        return Optional.of(value.booleanValue());
    }

    /// Refuses keys that nobody would look at.
    public void allow(String... keys) throws ControlException {
        TreeSet<String> unknown = new TreeSet<>(body.propertyNames());
        unknown.removeAll(List.of(keys));
        if (!unknown.isEmpty()) {
            throw ControlException.badRequest(
                    "unknown key \""
                            + unknown.first()
                            + "\"; there "
                            + (keys.length == 0 ? "is none" : "are " + String.join(", ", keys)));
        }
    }
}
