namespace Tern.Text.Templates;

/// <summary>Variables of one block, with the scope around it. The first few are searched in a row; more move to a dictionary.</summary>
internal sealed class TemplateScope(TemplateScope? parent)
{
    private const int RowMax = 8;

    private (string Name, TemplateValue Value)[] _row = [];
    private int _count;
    private Dictionary<string, TemplateValue>? _many;

    public TemplateScope? Parent { get; } = parent;

    /// <summary>Set once a macro or a <c>{% call %}</c> body keeps this scope: it may then not be used for the next iteration.</summary>
    public bool IsKept { get; set; }

    public bool TryGet(string name, out TemplateValue value)
    {
        if (_many is not null)
            return _many.TryGetValue(name, out value);

        for (int i = 0; i < _count; i++)
            if (_row[i].Name == name)
            {
                value = _row[i].Value;
                return true;
            }

        value = default;
        return false;
    }

    public void Set(string name, TemplateValue value)
    {
        if (_many is not null)
        {
            _many[name] = value;
            return;
        }

        for (int i = 0; i < _count; i++)
            if (_row[i].Name == name)
            {
                _row[i].Value = value;
                return;
            }

        if (_count == RowMax)
        {
            _many = new Dictionary<string, TemplateValue>(StringComparer.Ordinal) { [name] = value };
            foreach ((string key, TemplateValue held) in _row)
                _many[key] = held;
            return;
        }

        if (_count == _row.Length)
            Array.Resize(ref _row, _count == 0 ? 4 : RowMax);
        _row[_count++] = (name, value);
    }

    /// <summary>Forgets all variables.</summary>
    public void Clear()
    {
        _count = 0;
        _many = null;
    }
}
