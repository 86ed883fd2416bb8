using System.Collections.Frozen;

namespace Tern.Text.Templates;

/// <summary>The methods of dictionaries, lists and tuples. Those that change their value do so for this render only: requests are copied in.</summary>
internal static class TemplateCollectionMethods
{
    public static FrozenDictionary<string, TemplateBuiltin> OfDictionaries { get; } = TemplateBuiltin.Table(
        new("copy", "", static c => Update(c.Renderer, c.Renderer.NewDictionary(0), c.Subject.AsDictionary)),
        new("get", "key default?", static c => c.Subject.AsDictionary.TryGet(Key(c), out TemplateValue found) ? found : c[1].IsUndefined ? TemplateValue.None : c[1]),
        new("items", "", static c => Pairs(c.Renderer, c.Subject.AsDictionary)),
        new("keys", "", static c => TemplateValue.List(TemplateAccess.Elements(c.Renderer, c.Subject))),
        new("pop", "key default?", PopKey),
        new("setdefault", "key default?", SetDefault),
        new("update", "*", static c => MergeInto(c, c.Subject.AsDictionary, TemplateValue.None)),
        new("values", "", static c => Values(c.Renderer, c.Subject.AsDictionary)));

    public static FrozenDictionary<string, TemplateBuiltin> OfTuples { get; } = TemplateBuiltin.Table(
        new("count", "value", static c => IndexOrCount(c, count: true)),
        new("index", "value", static c => IndexOrCount(c, count: false)));

    public static FrozenDictionary<string, TemplateBuiltin> OfLists { get; } = TemplateBuiltin.Table(
        new("append", "item", static c => Change(c, 1, items => items.Add(c[0]))),
        new("clear", "", static c => Change(c, 0, static items => items.Clear())),
        new("copy", "", Copy),
        new("extend", "items", Extend),
        new("insert", "index item", static c => Change(c, 1, items => items.Insert(Place(c, items.Count), c[1]))),
        new("pop", "index?", PopItem),
        new("reverse", "", static c => Change(c, 0, static items => items.Reverse())));

    /// <summary>The entries as tuples of key and value.</summary>
    public static TemplateValue Pairs(TemplateRenderer renderer, TemplateDictionary dictionary)
    {
        List<TemplateValue> pairs = renderer.NewItems(dictionary.Count);
        for (int i = 0; i < dictionary.Count; i++)
        {
            List<TemplateValue> pair = renderer.NewItems(2);
            pair.Add(dictionary[i].Key.Value);
            pair.Add(dictionary[i].Value);
            pairs.Add(TemplateValue.Tuple(new TemplateList(pair)));
        }

        return TemplateValue.List(new TemplateList(pairs));
    }

    /// <summary>Adds a dictionary, or pairs, and then the keywords of the call to <paramref name="target"/>.</summary>
    public static TemplateValue MergeInto(TemplateCall call, TemplateDictionary target, TemplateValue result)
    {
        if (call.Given.Positional.Length > 1)
            throw call.Fail("at most one dict is taken");

        foreach (TemplateValue given in call.Given.Positional)
        {
            if (given.Kind == TemplateKind.Dictionary)
                Update(call.Renderer, target, given.AsDictionary);
            else
                foreach (TemplateValue pair in TemplateAccess.Iterate(call.Renderer, given))
                {
                    if (!pair.IsSequence || pair.AsList.Count != 2)
                        throw call.Fail("a dict or a list of pairs is needed");
                    Set(call.Renderer, target, TemplateOperators.Key(call.Renderer, pair.AsList[0]), pair.AsList[1]);
                }
        }

        foreach ((string name, TemplateValue value) in call.Given.Keywords)
            Set(call.Renderer, target, new TemplateKey(name), value);
        return result;
    }

    private static TemplateDictionary Update(TemplateRenderer renderer, TemplateDictionary target, TemplateDictionary source)
    {
        for (int i = 0; i < source.Count; i++)
            Set(renderer, target, source[i].Key, source[i].Value);
        return target;
    }

    private static void Set(TemplateRenderer renderer, TemplateDictionary target, TemplateKey key, TemplateValue value)
    {
        renderer.Charge(1);
        renderer.Allocate(224);
        target.Set(key, value);
    }

    private static TemplateKey Key(TemplateCall call) => TemplateOperators.Key(call.Renderer, call[0]);

    private static TemplateValue Values(TemplateRenderer renderer, TemplateDictionary dictionary)
    {
        List<TemplateValue> values = renderer.NewItems(dictionary.Count);
        for (int i = 0; i < dictionary.Count; i++)
            values.Add(dictionary[i].Value);
        return TemplateValue.List(new TemplateList(values));
    }

    private static TemplateValue PopKey(TemplateCall call)
    {
        // An index is rebuilt entry by entry.
        call.Renderer.Charge(call.Subject.AsDictionary.Count);
        if (call.Subject.AsDictionary.Remove(Key(call), out TemplateValue value))
            return value;
        return call[1].IsUndefined ? throw call.Fail("the key is not there") : call[1];
    }

    private static TemplateValue SetDefault(TemplateCall call)
    {
        TemplateKey key = Key(call);
        if (call.Subject.AsDictionary.TryGet(key, out TemplateValue value))
            return value;

        value = call[1].IsUndefined ? TemplateValue.None : call[1];
        Set(call.Renderer, call.Subject.AsDictionary, key, value);
        return value;
    }

    private static TemplateValue Change(TemplateCall call, int added, Action<List<TemplateValue>> change)
    {
        // A range is stored only now, and inserting moves what follows.
        int count = call.Subject.AsList.Count;
        call.Renderer.ChargeItems(count);
        call.Renderer.Allocate(call.Subject.AsList.IsRange ? 32L * count : 64L * added);
        change(call.Subject.AsList.Items);
        return TemplateValue.None;
    }

    private static TemplateValue Copy(TemplateCall call)
    {
        TemplateList source = call.Subject.AsList;
        List<TemplateValue> items = call.Renderer.NewItems(source.Count);
        for (int i = 0; i < source.Count; i++)
            items.Add(source[i]);
        return TemplateValue.List(new TemplateList(items));
    }

    private static TemplateValue Extend(TemplateCall call)
    {
        TemplateList more = TemplateAccess.Elements(call.Renderer, call[0]);
        int count = more.Count;
        call.Renderer.ChargeItems(count);
        return Change(call, count, items =>
        {
            for (int i = 0; i < count; i++)
                items.Add(more[i]);
        });
    }

    private static int Place(TemplateCall call, int count)
    {
        int index = call.IntegerAt(0, 0);
        return Math.Clamp(index < 0 ? index + count : index, 0, count);
    }

    private static TemplateValue PopItem(TemplateCall call)
    {
        int count = call.Subject.AsList.Count;
        int index = call.IntegerAt(0, -1);
        index = index < 0 ? index + count : index;
        if (index < 0 || index >= count)
            throw call.Fail("the index is outside of the list");

        TemplateValue item = call.Subject.AsList[index];
        Change(call, 0, items => items.RemoveAt(index));
        return item;
    }

    private static TemplateValue IndexOrCount(TemplateCall call, bool count)
    {
        long found = 0;
        for (int i = 0; i < call.Subject.AsList.Count; i++)
        {
            call.Renderer.Charge(1);
            if (!TemplateOperators.AreEqual(call.Renderer, call.Subject.AsList[i], call[0]))
                continue;
            if (!count)
                return (long)i;
            found++;
        }

        return count ? found : throw call.Fail("the value does not occur");
    }
}
