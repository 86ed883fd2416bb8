namespace Tern.Text.Templates;

/// <summary>Getting at what is inside a value: attributes, items, slices, elements.</summary>
internal static class TemplateAccess
{
    /// <summary><c>value.name</c>: a method, an attribute or a key; undefined when there is none.</summary>
    /// <exception cref="TernException">The value is itself undefined, or the name is one of Python's internals.</exception>
    public static TemplateValue Attribute(TemplateRenderer renderer, TemplateValue value, string name)
    {
        if (TryMethod(renderer, value, name, out TemplateValue found))
            return found;
        if (value.Kind == TemplateKind.Dictionary && value.AsDictionary.TryGet(name, out found))
            return found;
        return Missing(renderer, value, name);
    }

    /// <summary><c>value[index]</c>: a key or an element; for a name that is neither, what <see cref="Attribute"/> gives.</summary>
    public static TemplateValue Item(TemplateRenderer renderer, TemplateValue value, TemplateValue index)
    {
        if (value.Kind == TemplateKind.Dictionary)
        {
            // Python refuses lists as keys, and Jinja turns that into undefined.
            if (index.Kind is not (TemplateKind.List or TemplateKind.Dictionary) && value.AsDictionary.TryGet(TemplateOperators.Key(renderer, index), out TemplateValue found))
                return found;
        }
        else if (index.IsIntegral && (value.IsSequence || value.IsString))
            return Element(renderer, value, index.AsLong);

        if (index.IsString)
            return TryMethod(renderer, value, index.AsString, out TemplateValue method) ? method : Missing(renderer, value, index.AsString);
        return value.IsUndefined ? throw Undefined(renderer, value) : TemplateValue.Undefined("item");
    }

    /// <summary><c>value[start:stop:step]</c> of a string, list or tuple; none stands for a part that is left out.</summary>
    public static TemplateValue Slice(TemplateRenderer renderer, TemplateValue value, TemplateValue start, TemplateValue stop, TemplateValue step)
    {
        if (value.IsUndefined)
            throw Undefined(renderer, value);
        if (!value.IsSequence && !value.IsString)
            throw renderer.Fail($"a value of type '{value.TypeName}' has no slices");

        long by = Part(renderer, step, 1);
        if (by == 0)
            throw renderer.Fail("the step of a slice must not be 0");

        int[]? points = value.IsString ? TemplateSearch.CodePoints(renderer, value.AsString) : null;
        long length = points?.Length - 1 ?? (value.IsString ? value.AsString.Length : value.AsList.Count);
        (long first, long end) = by > 0
            ? (Bound(Part(renderer, start, 0), length, 0, length), Bound(Part(renderer, stop, length), length, 0, length))
            : (Bound(Part(renderer, start, length), length, -1, length - 1), stop.IsNone ? -1 : Bound(Part(renderer, stop, 0), length, -1, length - 1));
        long count = by > 0 ? Math.Max(0, (end - first + by - 1) / by) : Math.Max(0, (first - end - by - 1) / -by);

        if (value.IsString)
            return SliceText(renderer, value.AsString, points, first, by, count);

        List<TemplateValue> items = renderer.NewItems((int)count);
        for (long i = 0; i < count; i++)
            items.Add(value.AsList[(int)(first + i * by)]);
        return SameKind(value, items);
    }

    /// <summary>A list or tuple of <paramref name="items"/>, whichever <paramref name="like"/> is.</summary>
    public static TemplateValue SameKind(TemplateValue like, List<TemplateValue> items) =>
        like.Kind == TemplateKind.Tuple ? TemplateValue.Tuple(new TemplateList(items)) : TemplateValue.List(new TemplateList(items));

    /// <summary>What a loop over the value sees: elements, keys, characters; nothing for undefined.</summary>
    /// <exception cref="TernException">The value has no elements.</exception>
    public static TemplateList Elements(TemplateRenderer renderer, TemplateValue value)
    {
        switch (value.Kind)
        {
            case TemplateKind.List or TemplateKind.Tuple:
                return value.AsList;
            case TemplateKind.Undefined:
                return new TemplateList([]);
            case TemplateKind.Dictionary:
                List<TemplateValue> keys = renderer.NewItems(value.AsDictionary.Count);
                for (int i = 0; i < value.AsDictionary.Count; i++)
                    keys.Add(value.AsDictionary[i].Key.Value);
                return new TemplateList(keys);
            case TemplateKind.String:
                return Characters(renderer, value.AsString);
            default:
                throw renderer.Fail($"a value of type '{value.TypeName}' cannot be iterated");
        }
    }

    /// <summary>The same, one by one, charging for each.</summary>
    public static IEnumerable<TemplateValue> Iterate(TemplateRenderer renderer, TemplateValue value)
    {
        TemplateList items = Elements(renderer, value);
        int count = items.Count;
        for (int i = 0; i < count && i < items.Count; i++)
        {
            renderer.Charge(1);
            yield return items[i];
        }
    }

    private static bool TryMethod(TemplateRenderer renderer, TemplateValue value, string name, out TemplateValue found)
    {
        found = default;
        if (value.Kind is TemplateKind.Object or TemplateKind.Function)
            return value.AsObject.TryGetAttribute(renderer, name, out found);

        TemplateBuiltin? method = value.Kind switch
        {
            TemplateKind.String => TemplateStringMethods.All.GetValueOrDefault(name),
            TemplateKind.Dictionary => TemplateCollectionMethods.OfDictionaries.GetValueOrDefault(name),
            TemplateKind.List => TemplateCollectionMethods.OfLists.GetValueOrDefault(name) ?? TemplateCollectionMethods.OfTuples.GetValueOrDefault(name),
            TemplateKind.Tuple => TemplateCollectionMethods.OfTuples.GetValueOrDefault(name),
            _ => null,
        };
        if (method is not null)
            found = new BoundBuiltin(method, value);
        return method is not null;
    }

    private static TemplateValue Missing(TemplateRenderer renderer, TemplateValue value, string name)
    {
        if (value.IsUndefined)
            throw Undefined(renderer, value);
        if (name.StartsWith("__", StringComparison.Ordinal))
            throw renderer.Fail($"a value of type '{value.TypeName}' has no attribute {TemplateText.Quote(name)}; templates see no internals");
        return TemplateValue.Undefined(name);
    }

    private static TernException Undefined(TemplateRenderer renderer, TemplateValue value) => renderer.Fail($"'{value.UndefinedName}' is undefined");

    private static TemplateValue Element(TemplateRenderer renderer, TemplateValue value, long index)
    {
        int[]? points = value.IsString ? TemplateSearch.CodePoints(renderer, value.AsString) : null;
        int count = points?.Length - 1 ?? (value.IsString ? value.AsString.Length : value.AsList.Count);
        if (index < 0)
            index += count;
        if (index < 0 || index >= count)
            return TemplateValue.Undefined("element");

        int at = (int)index;
        return !value.IsString ? value.AsList[at]
            : points is null ? value.AsString[at].ToString()
            : value.AsString[points[at]..points[at + 1]];
    }

    private static long Part(TemplateRenderer renderer, TemplateValue part, long absent) =>
        part.IsNone ? absent
        : part.IsIntegral ? Math.Clamp(part.AsLong, -int.MaxValue, int.MaxValue)
        : throw renderer.Fail($"the parts of a slice must be integers, not '{part.TypeName}'");

    /// <summary>A slice's bound: counted from the end when negative, then held inside [low, high].</summary>
    private static long Bound(long value, long length, long low, long high) => Math.Clamp(value < 0 ? value + length : value, low, high);

    private static TemplateValue SliceText(TemplateRenderer renderer, string text, int[]? points, long first, long by, long count)
    {
        if (by == 1)
        {
            int from = count == 0 ? 0 : points?[first] ?? (int)first;
            int to = count == 0 ? 0 : points?[first + count] ?? (int)(first + count);
            renderer.ChargeText(to - from);
            renderer.Allocate(2L * (to - from));
            return text[from..to];
        }

        var result = new TemplateTextBuilder(renderer);
        renderer.ChargeItems(count);
        for (long i = 0; i < count; i++)
        {
            int at = (int)(first + i * by);
            result.Append(points is null ? text.AsSpan(at, 1) : text.AsSpan(points[at], points[at + 1] - points[at]));
        }

        return result.ToString();
    }

    private static TemplateList Characters(TemplateRenderer renderer, string text)
    {
        int[]? points = TemplateSearch.CodePoints(renderer, text);
        int count = points?.Length - 1 ?? text.Length;
        renderer.Allocate(32L * count); // one string for each
        List<TemplateValue> items = renderer.NewItems(count);
        for (int i = 0; i < count; i++)
            items.Add(points is null ? text[i].ToString() : text[points[i]..points[i + 1]]);
        return new TemplateList(items);
    }
}
