using System.Runtime.InteropServices;

namespace Tern.Text.Templates;

/// <summary>The elements of a list or a tuple: either stored, or an arithmetic range that is stored only once it is changed.</summary>
internal sealed class TemplateList
{
    private readonly long _start;
    private readonly long _step;
    private int _rangeCount;
    private List<TemplateValue>? _items;

    /// <summary>A list that takes over <paramref name="items"/>.</summary>
    public TemplateList(List<TemplateValue> items) => _items = items;

    /// <summary><c>start, start + step, …</c>, <paramref name="count"/> elements; none may overflow.</summary>
    public TemplateList(long start, long step, int count) => (_start, _step, _rangeCount) = (start, step, count);

    public int Count => _items?.Count ?? _rangeCount;

    /// <summary>Whether the elements are not stored yet.</summary>
    public bool IsRange => _items is null;

    public TemplateValue this[int index] => _items is null ? _start + _step * index : _items[index];

    /// <summary>The elements as a list that may be changed. The caller has charged for them.</summary>
    public List<TemplateValue> Items
    {
        get
        {
            if (_items is null)
            {
                _items = new List<TemplateValue>(_rangeCount);
                for (int i = 0; i < _rangeCount; i++)
                    _items.Add(_start + _step * i);
                _rangeCount = 0;
            }

            return _items;
        }
    }
}

/// <summary>
/// A dictionary key: any value whose equality never changes. Numbers are equal across types (1, 1.0 and true are one key);
/// a tuple is compared through one text that spells out its elements, so that neither hashing nor equality ever recurses.
/// </summary>
internal readonly struct TemplateKey : IEquatable<TemplateKey>
{
    private readonly string? _tuple;

    /// <summary>A key that is not a tuple, a list or a dictionary.</summary>
    public TemplateKey(TemplateValue value) => Value = value;

    /// <summary>A tuple with the text that spells it.</summary>
    public TemplateKey(TemplateValue value, string tuple) => (Value, _tuple) = (value, tuple);

    /// <summary>The key as it was first written.</summary>
    public TemplateValue Value { get; }

    public bool Equals(TemplateKey other)
    {
        if (Value.IsString)
            return other.Value.IsString && Value.AsString == other.Value.AsString;
        if (Value.IsNumber)
            return other.Value.IsNumber && (Value.IsIntegral && other.Value.IsIntegral
                ? Value.AsLong == other.Value.AsLong
                : Value.AsDouble == other.Value.AsDouble);
        return _tuple is null ? Value.SameAs(other.Value) : _tuple == other._tuple;
    }

    public override bool Equals(object? obj) => obj is TemplateKey other && Equals(other);

    public override int GetHashCode() => Value.Kind switch
    {
        TemplateKind.String => Value.AsString.GetHashCode(StringComparison.Ordinal),
        TemplateKind.Boolean or TemplateKind.Integer or TemplateKind.Float => HashCode.Combine(Value.AsDouble),
        _ => _tuple?.GetHashCode(StringComparison.Ordinal) ?? (int)Value.Kind,
    };
}

/// <summary>A dictionary in order of insertion. Small ones are searched in a row; an index appears with the ninth entry.</summary>
internal sealed class TemplateDictionary
{
    private const int IndexedFrom = 9;

    private readonly List<Entry> _entries;
    private Dictionary<TemplateKey, int>? _index;

    public TemplateDictionary(int capacity = 0) => _entries = new List<Entry>(capacity);

    /// <summary>A key with its value.</summary>
    public readonly record struct Entry(TemplateKey Key, TemplateValue Value);

    public int Count => _entries.Count;

    /// <summary>The entry at a place in the order.</summary>
    public Entry this[int index] => _entries[index];

    public bool TryGet(TemplateKey key, out TemplateValue value)
    {
        int at = Find(key);
        value = at < 0 ? default : _entries[at].Value;
        return at >= 0;
    }

    public bool TryGet(string key, out TemplateValue value) => TryGet(new TemplateKey(key), out value);

    /// <summary>Adds or replaces; a replaced entry keeps its place and its first spelling.</summary>
    public void Set(TemplateKey key, TemplateValue value)
    {
        int at = Find(key);
        if (at >= 0)
        {
            CollectionsMarshal.AsSpan(_entries)[at] = new Entry(_entries[at].Key, value);
            return;
        }

        _entries.Add(new Entry(key, value));
        if (_index is not null)
            _index.Add(key, _entries.Count - 1);
        else if (_entries.Count >= IndexedFrom)
            Reindex();
    }

    public void Set(string key, TemplateValue value) => Set(new TemplateKey(key), value);

    /// <summary>Takes an entry out, in time proportional to the number of entries.</summary>
    public bool Remove(TemplateKey key, out TemplateValue value)
    {
        int at = Find(key);
        value = at < 0 ? default : _entries[at].Value;
        if (at < 0)
            return false;

        _entries.RemoveAt(at);
        if (_index is not null)
            Reindex();
        return true;
    }

    private int Find(TemplateKey key)
    {
        if (_index is not null)
            return _index.TryGetValue(key, out int at) ? at : -1;

        for (int i = 0; i < _entries.Count; i++)
            if (_entries[i].Key.Equals(key))
                return i;
        return -1;
    }

    private void Reindex()
    {
        _index = new Dictionary<TemplateKey, int>(_entries.Count * 2);
        for (int i = 0; i < _entries.Count; i++)
            _index[_entries[i].Key] = i;
    }
}
