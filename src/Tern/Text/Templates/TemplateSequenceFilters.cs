namespace Tern.Text.Templates;

/// <summary>The filters on lists, dictionaries and whatever else has elements. What Python gives as a generator is a list here.</summary>
internal static class TemplateSequenceFilters
{
    public static TemplateBuiltin[] Rows =>
    [
        new("batch", "linecount fill_with?", Batch),
        new("dictsort", "case_sensitive? by? reverse?", DictSort),
        new("first", "", static c => Elements(c) is { Count: > 0 } items ? items[0] : TemplateValue.Undefined("first")),
        new("groupby", "attribute default? case_sensitive?", GroupBy),
        new("items", "", Items),
        new("join", "d? attribute?", Join),
        new("last", "", static c => Elements(c) is { Count: > 0 } items ? items[items.Count - 1] : TemplateValue.Undefined("last")),
        new("length count", "", Length),
        new("list", "", static c => List(Copy(c))),
        new("map", "*", Map),
        new("max", "case_sensitive? attribute?", static c => Extreme(c, sign: 1)),
        new("min", "case_sensitive? attribute?", static c => Extreme(c, sign: -1)),
        new("reject", "*", static c => Select(c, byAttribute: false, wanted: false)),
        new("rejectattr", "*", static c => Select(c, byAttribute: true, wanted: false)),
        new("reverse", "", Reverse),
        new("select", "*", static c => Select(c, byAttribute: false, wanted: true)),
        new("selectattr", "*", static c => Select(c, byAttribute: true, wanted: true)),
        new("slice", "slices fill_with?", Slice),
        new("sort", "reverse? case_sensitive? attribute?", static c =>
            List(Sorted(c, Copy(c), c.FlagAt(0, false), c.FlagAt(1, false), c[2], default))),
        new("sum", "attribute? start?", Sum),
        new("unique", "case_sensitive? attribute?", Unique),
    ];

    /// <summary>An attribute path of a filter: <c>'a.b.0'</c> or a number, through keys, places and attributes.</summary>
    private static TemplateValue Path(TemplateCall call, TemplateValue item, TemplateValue path, TemplateValue fallback)
    {
        if (path.IsUndefined || path.IsNone)
            return item;

        if (!path.IsString)
            item = TemplateAccess.Item(call.Renderer, item, path);
        else
        {
            foreach (string part in path.AsString.Split('.'))
            {
                call.Renderer.Charge(1);
                bool isIndex = part.Length is > 0 and < 10 && part.All(char.IsAsciiDigit);
                item = TemplateAccess.Item(call.Renderer, item, isIndex ? int.Parse(part, System.Globalization.CultureInfo.InvariantCulture) : part);
            }
        }

        return item.IsUndefined && !fallback.IsUndefined ? fallback : item;
    }

    private static TemplateList Elements(TemplateCall call) => TemplateAccess.Elements(call.Renderer, call.Subject);

    private static List<TemplateValue> Copy(TemplateCall call)
    {
        TemplateList elements = Elements(call);
        List<TemplateValue> items = call.Renderer.NewItems(elements.Count);
        for (int i = 0; i < elements.Count; i++)
            items.Add(elements[i]);
        return items;
    }

    private static TemplateValue List(List<TemplateValue> items) => TemplateValue.List(new TemplateList(items));

    private static TemplateValue Pair(TemplateRenderer renderer, TemplateValue first, TemplateValue second)
    {
        List<TemplateValue> pair = renderer.NewItems(2);
        pair.Add(first);
        pair.Add(second);
        return TemplateValue.Tuple(new TemplateList(pair));
    }

    /// <summary>What a value is sorted by: texts in lower case unless case matters.</summary>
    private static TemplateValue SortKey(TemplateCall call, TemplateValue value, bool caseSensitive)
    {
        if (caseSensitive || !value.IsString)
            return value;
        call.Renderer.ChargeText(value.AsString.Length);
        return call.Made(value.AsString.ToLowerInvariant());
    }

    private static List<TemplateValue> Sorted(
        TemplateCall call, List<TemplateValue> items, bool reverse, bool caseSensitive, TemplateValue attribute, TemplateValue fallback)
    {
        string[] paths = attribute.IsString ? attribute.AsString.Split(',') : [];
        var keyed = new List<(TemplateValue[] Keys, TemplateValue Item)>(items.Count);
        foreach (TemplateValue item in items)
        {
            call.Renderer.Allocate(64 + 24L * paths.Length);
            TemplateValue[] keys = paths.Length > 0
                ? [.. paths.Select(path => SortKey(call, Path(call, item, path, fallback), caseSensitive))]
                : [SortKey(call, Path(call, item, attribute, fallback), caseSensitive)];
            keyed.Add((keys, item));
        }

        keyed = TemplateSort.Stable(call.Renderer, keyed, (a, b) => Order(call, a.Keys, b.Keys), reverse);
        return keyed.ConvertAll(static pair => pair.Item);
    }

    private static int Order(TemplateCall call, TemplateValue[] a, TemplateValue[] b)
    {
        int order = 0;
        for (int i = 0; order == 0 && i < a.Length; i++)
            order = TemplateOperators.Order(call.Renderer, "<", a[i], b[i]);
        return order;
    }

    private static TemplateValue DictSort(TemplateCall call)
    {
        string by = call.TextAt(1, "key");
        if (by is not ("key" or "value"))
            throw call.Fail("'by' must be 'key' or 'value'");
        TemplateValue pairs = Items(call);
        return List(Sorted(call, pairs.AsList.Items, call.FlagAt(2, false), call.FlagAt(0, false), by == "key" ? 0L : 1L, default));
    }

    private static TemplateValue Items(TemplateCall call)
    {
        if (call.Subject.IsUndefined)
            return List([]);
        return call.Subject.Kind == TemplateKind.Dictionary ? TemplateCollectionMethods.Pairs(call.Renderer, call.Subject.AsDictionary)
            : throw call.Fail($"a dict is needed, not '{call.Subject.TypeName}'");
    }

    private static TemplateValue Join(TemplateCall call)
    {
        string separator = call.TextAt(0, "");
        var text = new TemplateTextBuilder(call.Renderer);
        bool isFirst = true;
        foreach (TemplateValue item in TemplateAccess.Iterate(call.Renderer, call.Subject))
        {
            text.Append(isFirst ? "" : separator);
            TemplateText.Append(text, Path(call, item, call[1], default));
            isFirst = false;
        }

        return text.ToString();
    }

    /// <summary>Number of elements or code points; the same as the tests of Python's <c>len</c>.</summary>
    private static TemplateValue Length(TemplateCall call) => call.Subject.Kind switch
    {
        TemplateKind.Undefined => 0L,
        TemplateKind.String => (long)TemplateSearch.Length(call.Renderer, call.Subject.AsString),
        TemplateKind.List or TemplateKind.Tuple => (long)call.Subject.AsList.Count,
        TemplateKind.Dictionary => (long)call.Subject.AsDictionary.Count,
        _ => throw call.Fail($"a value of type '{call.Subject.TypeName}' has no length"),
    };

    private static TemplateValue Reverse(TemplateCall call)
    {
        if (call.Subject.IsString)
            return TemplateAccess.Slice(call.Renderer, call.Subject, TemplateValue.None, TemplateValue.None, -1L);
        List<TemplateValue> items = Copy(call);
        items.Reverse();
        return List(items);
    }

    /// <summary><c>map('filter', …)</c> or <c>map(attribute='a', default=…)</c>.</summary>
    private static TemplateValue Map(TemplateCall call)
    {
        TemplateValue attribute = call.Given.Keyword("attribute");
        bool byFilter = call.Given.Positional.Length > 0;
        if (!byFilter && attribute.IsUndefined)
            throw call.Fail("the name of a filter, or attribute=, is needed");
        string filter = byFilter && call.Given.Positional[0].IsString ? call.Given.Positional[0].AsString : "";
        TemplateArguments arguments = call.Given.Skip(1);

        List<TemplateValue> items = Copy(call);
        for (int i = 0; i < items.Count; i++)
        {
            call.Renderer.Charge(1);
            items[i] = byFilter
                ? TemplateFilters.Apply(call.Renderer, filter, items[i], arguments)
                : Path(call, items[i], attribute, call.Given.Keyword("default"));
        }

        return List(items);
    }

    /// <summary><c>select('test', …)</c>, <c>selectattr('a', 'test', …)</c> and their opposites; without a test, by truth.</summary>
    private static TemplateValue Select(TemplateCall call, bool byAttribute, bool wanted)
    {
        TemplateArguments arguments = call.Given;
        TemplateValue attribute = default;
        if (byAttribute)
        {
            attribute = arguments.Positional.Length > 0 ? arguments.Positional[0] : throw call.Fail("the name of an attribute is needed");
            arguments = arguments.Skip(1);
        }

        string? test = arguments.Positional.Length == 0 ? null
            : arguments.Positional[0].IsString ? arguments.Positional[0].AsString
            : throw call.Fail("the name of a test must be a string");
        arguments = arguments.Skip(1);

        List<TemplateValue> kept = call.Renderer.NewItems(0);
        foreach (TemplateValue item in TemplateAccess.Iterate(call.Renderer, call.Subject))
        {
            TemplateValue value = Path(call, item, attribute, default);
            bool passes = test is null ? value.IsTrue : TemplateTests.Apply(call.Renderer, test, value, arguments);
            if (passes != wanted)
                continue;
            call.Renderer.Allocate(64);
            kept.Add(item);
        }

        return List(kept);
    }

    private static TemplateValue Extreme(TemplateCall call, int sign)
    {
        bool any = false;
        TemplateValue best = TemplateValue.Undefined(sign < 0 ? "min" : "max"), bestKey = default;
        foreach (TemplateValue item in TemplateAccess.Iterate(call.Renderer, call.Subject))
        {
            TemplateValue key = SortKey(call, Path(call, item, call[1], default), call.FlagAt(0, false));
            if (!any || sign * TemplateOperators.Order(call.Renderer, sign < 0 ? "<" : ">", key, bestKey) > 0)
                (best, bestKey) = (item, key);
            any = true;
        }

        return best;
    }

    private static TemplateValue Sum(TemplateCall call)
    {
        TemplateValue sum = call[1].IsUndefined ? 0L : call[1];
        foreach (TemplateValue item in TemplateAccess.Iterate(call.Renderer, call.Subject))
            sum = TemplateOperators.Arithmetic(call.Renderer, "+", sum, Path(call, item, call[0], default));
        return sum;
    }

    private static TemplateValue Unique(TemplateCall call)
    {
        var seen = new HashSet<TemplateKey>();
        List<TemplateValue> kept = call.Renderer.NewItems(0);
        foreach (TemplateValue item in TemplateAccess.Iterate(call.Renderer, call.Subject))
        {
            TemplateValue key = SortKey(call, Path(call, item, call[1], default), call.FlagAt(0, false));
            call.Renderer.Allocate(128);
            if (seen.Add(TemplateOperators.Key(call.Renderer, key)))
                kept.Add(item);
        }

        return List(kept);
    }

    /// <summary>Pairs of a value and the list of the elements that have it, in the order of the values.</summary>
    private static TemplateValue GroupBy(TemplateCall call)
    {
        bool caseSensitive = call.FlagAt(2, false);
        List<TemplateValue> groups = call.Renderer.NewItems(0);
        TemplateValue lastKey = default;
        List<TemplateValue>? group = null;
        foreach (TemplateValue item in Sorted(call, Copy(call), reverse: false, caseSensitive, call[0], call[1]))
        {
            TemplateValue name = Path(call, item, call[0], call[1]);
            TemplateValue key = SortKey(call, name, caseSensitive);
            if (group is null || !TemplateOperators.AreEqual(call.Renderer, key, lastKey))
            {
                group = call.Renderer.NewItems(0);
                groups.Add(Pair(call.Renderer, name, List(group)));
                lastKey = key;
            }

            call.Renderer.Allocate(64);
            group.Add(item);
        }

        return List(groups);
    }

    /// <summary>Rows of <c>linecount</c> elements.</summary>
    private static TemplateValue Batch(TemplateCall call)
    {
        int size = call.IntegerAt(0, 1);
        if (size < 1)
            throw call.Fail("the number of elements in a row must be at least 1");

        List<TemplateValue> rows = call.Renderer.NewItems(0), row = [];
        foreach (TemplateValue item in TemplateAccess.Iterate(call.Renderer, call.Subject))
        {
            if (row.Count == 0)
            {
                row = call.Renderer.NewItems(0);
                rows.Add(List(row));
            }

            call.Renderer.Allocate(64);
            row.Add(item);
            if (row.Count == size)
                row = [];
        }

        if (row.Count > 0 && call.Has(1))
        {
            call.Renderer.Charge(size - row.Count);
            call.Renderer.Allocate(32L * (size - row.Count));
            while (row.Count < size)
                row.Add(call[1]);
        }

        return List(rows);
    }

    /// <summary>A number of columns as equal as can be, the longer ones first.</summary>
    private static TemplateValue Slice(TemplateCall call)
    {
        int columns = call.IntegerAt(0, 1);
        if (columns < 1)
            throw call.Fail("the number of columns must be at least 1");

        List<TemplateValue> items = Copy(call);
        call.Renderer.Charge(columns);
        List<TemplateValue> result = call.Renderer.NewItems(columns);
        for (int i = 0, at = 0; i < columns; i++)
        {
            int count = items.Count / columns + (i < items.Count % columns ? 1 : 0);
            List<TemplateValue> column = call.Renderer.NewItems(count + 1);
            column.AddRange(items.GetRange(at, count));
            if (call.Has(1) && items.Count % columns != 0 && i >= items.Count % columns)
                column.Add(call[1]);
            result.Add(List(column));
            at += count;
        }

        return List(result);
    }
}
