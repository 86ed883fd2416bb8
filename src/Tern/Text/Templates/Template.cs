namespace Tern.Text.Templates;

/// <summary>A parsed Jinja template. It holds no state: threads may render it at the same time.</summary>
internal sealed class Template
{
    private readonly ParsedTemplate _parsed;
    private readonly TemplateBudget _budget;

    private Template(ParsedTemplate parsed, TemplateBudget budget) => (_parsed, _budget) = (parsed, budget);

    /// <summary>Every attribute name and text literal.</summary>
    public IReadOnlySet<string> Attributes => _parsed.Attributes;

    /// <summary>Parses a template.</summary>
    /// <exception cref="TernException">Of kind Template, with the line.</exception>
    public static Template Parse(string source, TemplateBudget? budget = null)
    {
        budget ??= TemplateBudget.Default;
        return new Template(TemplateParser.Parse(source, budget), budget);
    }

    /// <summary>The text for some variables. Lists and dictionaries among them may be changed by the template: they must not be used again.</summary>
    /// <exception cref="TernException">Of kind Template, with the line: an operation failed, the template refused, or a budget is used up.</exception>
    public string Render(IEnumerable<KeyValuePair<string, TemplateValue>> variables, DateTimeOffset now)
    {
        var globals = new TemplateScope(parent: null);
        foreach ((string name, TemplateValue value) in variables)
            globals.Set(name, value);
        return new TemplateRenderer(_budget, globals, now).Render(_parsed.Body);
    }
}
